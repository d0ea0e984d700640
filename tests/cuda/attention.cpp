// Holds the kernels of attention against plain loops in double precision, on
// ragged batches whose caches are not numbers wherever no row should look.
//
//     g++ -std=c++20 -O2 -march=x86-64-v3 -fno-strict-aliasing -DDRAGOMAN_EMULATED \
//         -Itests/cuda tests/cuda/attention.cpp tests/cuda/emulate.cpp -o attention
#include "../../src/backend/kernels/cuda/decode.cu"
#include "../../src/backend/kernels/cuda/packed.cu"
#include "../../src/backend/kernels/cuda/prefill.cu"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>

using std::vector;
typedef vector<uint32_t> Numbers;

static std::mt19937 generator(7);
static int failures, cases;

static uint32_t upto(uint32_t n) { return generator() % n; }
template <typename T> static T one_of(std::initializer_list<T> of) {
    return of.begin()[upto(of.size())];
}

template <typename T> static void fill(T *to, size_t n, float reach) {
    std::uniform_real_distribution<float> random(-reach, reach);
    for (size_t i = 0; i < n; i++) to[i] = narrow<T>(random(generator));
}

template <typename T> static double tolerance() {
    return std::is_same_v<T, f16> ? 4e-3 : std::is_same_v<T, bf16> ? 2e-2 : 2e-5;
}

// What is in memory that no kernel should write.
static const float UNTOUCHED = -12345.0f;
template <typename A> static bool untouched(A x) {
    return widen(x) == widen(narrow<A>(UNTOUCHED));
}

struct Layer {
    uint32_t heads, kv_heads, dim, block_size, window;
    float scale, softcap;
};

static Layer layer_of(uint32_t dim, uint32_t group) {
    Layer layer = {};
    layer.kv_heads = group > 3 ? 1 : 2;
    layer.heads = group * layer.kv_heads;
    layer.dim = dim;
    layer.block_size = one_of({8u, 16u, 32u});
    layer.window = one_of({0u, 0u, 1u, 33u, 200u});
    layer.scale = 1.5f / std::sqrt(float(dim));
    layer.softcap = one_of({0.0f, 0.0f, 3.0f});
    return layer;
}

// A code of E4M3, by its definition.
static double number_of(e4m3 x) {
    const int exponent = x.code >> 3 & 15, mantissa = x.code & 7;
    const double size = exponent ? std::ldexp(8 + mantissa, exponent - 10)
                                 : std::ldexp(mantissa, -9);
    return x.code & 0x80 ? -size : size;
}

// Stores heads of `dim` numbers, which become what is stored of them.
template <typename C>
static vector<e4m3> codes_of(vector<C> &numbers, uint32_t dim, vector<uint8_t> &scales) {
    vector<e4m3> codes(numbers.size());
    for (size_t at = 0; at < numbers.size(); at += dim) {
        uint32_t largest = 0;
        for (uint32_t d = 0; d < dim; d++)
            largest = std::max(largest, __float_as_uint(widen(numbers[at + d])) & 0x7fffffffu);
        scales.push_back(scale_of(largest));
        for (uint32_t d = 0; d < dim; d++) {
            codes[at + d] = stored_under(scales.back(), widen(numbers[at + d]));
            const double x = std::ldexp(number_of(codes[at + d]), scales.back() - 247);
            numbers[at + d] = narrow<C>(scales.back() == 255 ? NAN : float(x));
        }
    }
    return codes;
}

// Keys and values of some sequences, in blocks in disorder.
template <typename S> struct Cache {
    typedef typename Stored<S>::Number C;
    const Layer &layer;
    vector<C> k, v;
    // As they are stored.
    vector<S> stored_k, stored_v;
    vector<uint8_t> k_scales, v_scales;
    Numbers tables, contexts;
    uint32_t stride;

    Cache(const Layer &layer, Numbers contexts) : layer(layer), contexts(contexts) {
        const uint32_t size = layer.block_size;
        const uint32_t most = *std::max_element(contexts.begin(), contexts.end());
        stride = (most + size - 1) / size + 1;
        Numbers blocks(contexts.size() * stride);
        for (uint32_t i = 0; i < blocks.size(); i++) blocks[i] = i;
        std::shuffle(blocks.begin(), blocks.end(), generator);
        tables = blocks;
        k.assign(blocks.size() * layer.kv_heads * size * layer.dim, narrow<C>(NAN));
        v = k;
        for (uint32_t s = 0; s < contexts.size(); s++)
            for (uint32_t i = 0; i < contexts[s]; i++)
                for (uint32_t head = 0; head < layer.kv_heads; head++) {
                    fill(&k[at(s, i, head)], layer.dim, 1.7f);
                    fill(&v[at(s, i, head)], layer.dim, 1.0f);
                }
    }
    // Makes a key not a number, sometimes; rows that do not see it must not know.
    void spoil(uint32_t s, uint32_t i) {
        if (upto(2)) k[at(s, i, 0) + layer.dim / 2] = narrow<C>(NAN);
    }
    void store() {
        if constexpr (std::is_same_v<S, C>) {
            stored_k = k;
            stored_v = v;
        } else {
            stored_k = codes_of(k, layer.dim, k_scales);
            stored_v = codes_of(v, layer.dim, v_scales);
        }
    }
    size_t at(uint32_t s, uint32_t i, uint32_t head) const {
        const size_t block = tables[s * stride + i / layer.block_size];
        return ((block * layer.kv_heads + head) * layer.block_size + i % layer.block_size) *
               layer.dim;
    }
};

// One row of one head, over keys `low` to `high`.
template <typename T, typename Key>
static vector<double> plain(const Layer &layer, const T *q, uint32_t low, uint32_t high,
                            const vector<T> &k, const vector<T> &v, Key key, Key value) {
    vector<double> scores, out(layer.dim);
    double greatest = -INFINITY, sum = 0;
    for (uint32_t i = low; i < high; i++) {
        double score = 0;
        for (uint32_t d = 0; d < layer.dim; d++)
            score += double(widen(q[d])) * double(widen(k[key(i) + d]));
        score *= layer.scale;
        if (layer.softcap > 0) score = layer.softcap * std::tanh(score / layer.softcap);
        scores.push_back(score);
        greatest = std::max(greatest, score);
    }
    for (uint32_t i = low; i < high; i++) {
        const double weight = std::exp(scores[i - low] - greatest);
        sum += weight;
        for (uint32_t d = 0; d < layer.dim; d++)
            out[d] += weight * double(widen(v[value(i) + d]));
    }
    for (double &x : out) x /= sum;
    return out;
}

// The worst difference, and what it is to be held against.
struct Worst {
    double off = 0, largest = 0;
    bool broken = false;

    template <typename A> void add(const A *found, const vector<double> &expected) {
        for (size_t d = 0; d < expected.size(); d++) {
            const double x = widen(found[d]);
            if (std::isnan(x) != std::isnan(expected[d])) broken = true;
            if (std::isnan(expected[d])) continue;
            off = std::max(off, std::abs(x - expected[d]));
            largest = std::max(largest, std::abs(expected[d]));
        }
    }
    void hold(const char *name, const Layer &layer, double allowed) const {
        cases++;
        if (!broken && off <= allowed * largest) return;
        failures++;
        printf("%s: off by %.3g of %.3g%s (heads %u/%u, dim %u, block %u, window %u, cap %g)\n",
               name, off, largest, broken ? ", NaN misplaced" : "", layer.heads, layer.kv_heads,
               layer.dim, layer.block_size, layer.window, layer.softcap);
    }
};

static void hold(bool right, const char *name, const char *what) {
    cases++;
    if (right) return;
    failures++;
    printf("%s: %s\n", name, what);
}

// Whether both have the same bits, but for those of what is no number.
template <typename A> static bool same(const vector<A> &a, const vector<A> &b) {
    for (size_t i = 0; i < a.size(); i++)
        if (memcmp(&a[i], &b[i], sizeof(A)) &&
            !(std::isnan(widen(a[i])) && std::isnan(widen(b[i]))))
            return false;
    return true;
}

template <typename C, typename A> static double allowed() {
    return std::max(tolerance<C>(), tolerance<A>());
}

template <typename S, typename A> using SplitKernel = void (*)(SPLIT_ARGUMENTS(S, A));
template <typename A>
using CombineKernel = void (*)(const float *, const uint32_t *, const uint32_t *, A *, uint32_t,
                               uint32_t, uint32_t, uint32_t);

// `twin` is the kernel for the same numbers as products take them.
template <typename S, typename A>
static void test_split(const char *name, SplitKernel<S, A> kernel, CombineKernel<A> join,
                       uint32_t dim, uint32_t group,
                       SplitKernel<typename Stored<S>::Number, A> twin = nullptr) {
    typedef typename Stored<S>::Number C;
    const Layer layer = layer_of(dim, group);
    const uint32_t split = one_of({64u, 256u}), width = layer.heads * dim;
    Cache<S> cache(layer, {1, 16, 257, 700, 250});
    // Entries in another order than rows and sequences; one is padding, one sees
    // less than there is, and row 3 is nobody's.
    const Numbers rows = {5, 0, 1, 4, 2, 6}, sequences = {3, 1, 0, 0, 2, 4};
    const Numbers contexts = {700, 16, 1, 0, 257, 57};
    const uint32_t n = rows.size(), splits = 700 / split + 2;
    vector<C> q(7 * width);
    fill(q.data(), q.size(), 1.7f);
    // One head of one row is not a number.
    q[2 * width + dim - 1] = narrow<C>(NAN);
    cache.spoil(2, 140);
    cache.store();

    // Entry by entry, and all at once.
    auto run_of = [&](auto kernel, const auto &k, const auto &v, uint32_t first, uint32_t count,
                      uint32_t splits, vector<A> &out) {
        vector<float> workspace(size_t(count) * layer.heads * splits * (dim + 2), NAN);
        emulated::launch(dim3(layer.kv_heads, splits, count), 128, 0, kernel, q.data(), k.data(),
                         v.data(), cache.k_scales.data(), cache.v_scales.data(),
                         cache.tables.data(), cache.stride, &rows[first], &sequences[first],
                         &contexts[first], workspace.data(), out.data(), layer.heads, dim,
                         layer.block_size, split, layer.window, layer.scale, layer.softcap);
        if (splits > 1)
            emulated::launch(dim3(layer.heads, count), 128, 0, join, workspace.data(),
                             &rows[first], &contexts[first], out.data(), dim, splits, split,
                             layer.window);
    };
    auto run = [&](uint32_t first, uint32_t count, uint32_t splits, vector<A> &out) {
        run_of(kernel, cache.stored_k, cache.stored_v, first, count, splits, out);
    };
    vector<A> out(q.size(), narrow<A>(UNTOUCHED)), alone = out;
    if (twin) {
        vector<A> other = out;
        run(0, n, splits, out);
        run_of(twin, cache.k, cache.v, 0, n, splits, other);
        hold(same(out, other), name, "is not what it is of the numbers themselves");
        out = alone;
    }
    run(0, n, splits, out);
    for (uint32_t i = 0; i < n; i++)
        run(i, 1, std::max(1u, (contexts[i] + split - 1) / split), alone);
    hold(!memcmp(out.data(), alone.data(), out.size() * sizeof(A)), name,
         "a row depends on its batch");

    Worst worst;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t head = 0; head < layer.heads && contexts[i] > 0; head++) {
            const uint32_t context = contexts[i], w = layer.window;
            auto key = [&](uint32_t at) { return cache.at(sequences[i], at, head / group); };
            const size_t at = size_t(rows[i]) * width + head * dim;
            const uint32_t low = w && context > w ? context - w : 0;
            worst.add(&out[at], plain(layer, &q[at], low, context, cache.k, cache.v, key, key));
        }
    worst.hold(name, layer, allowed<C, A>());
    bool kept = true;
    for (uint32_t row : {3, 4})
        for (uint32_t d = 0; d < width; d++) kept &= untouched(out[size_t(row) * width + d]);
    hold(kept, name, "wrote a row that is nobody's");
}

template <typename S, typename A> using RowsKernel = void (*)(ROWS_ARGUMENTS(S, A));

// Tasks of all sequences but the last, in disorder.
static Numbers tasks_of(const Numbers &cu_seqlens) {
    vector<std::pair<uint32_t, uint32_t>> tasks;
    for (uint32_t s = 0; s + 2 < cu_seqlens.size(); s++)
        for (uint32_t row = 0; row < cu_seqlens[s + 1] - cu_seqlens[s]; row += TILE_ROWS)
            tasks.push_back({s, row});
    std::shuffle(tasks.begin(), tasks.end(), generator);
    Numbers flat;
    for (auto [s, row] : tasks) flat.push_back(s), flat.push_back(row);
    return flat;
}

static Numbers sums_of(const Numbers &rows) {
    Numbers sums = {0};
    for (uint32_t n : rows) sums.push_back(sums.back() + n);
    return sums;
}

template <typename S, typename A>
static void test_rows(const char *name, RowsKernel<S, A> kernel, uint32_t dim, uint32_t group,
                      size_t shared, bool long_texts,
                      RowsKernel<typename Stored<S>::Number, A> twin = nullptr) {
    typedef typename Stored<S>::Number C;
    Layer layer = layer_of(dim, group);
    const bool causal = upto(4) > 0;
    if (!causal) layer.window = 0;
    Numbers rows = long_texts ? Numbers{1, 2, 17, 64, 65, 200, 3} : Numbers{65, 1, 17, 3};
    Numbers contexts = long_texts ? Numbers{700, 5, 300, 64, 130, 263, 3}
                                  : Numbers{150, 64, 17, 3};
    if (!causal) contexts[0] = 40;
    const Numbers cu_seqlens = sums_of(rows), tasks = tasks_of(cu_seqlens);
    Cache<S> cache(layer, contexts);
    const uint32_t width = layer.heads * dim;
    vector<C> q(size_t(cu_seqlens.back()) * width);
    fill(q.data(), q.size(), 1.7f);
    q[dim - 1] = narrow<C>(NAN);
    cache.spoil(2, 9);
    cache.store();
    auto run = [&](auto kernel, const auto &k, const auto &v, vector<A> &out) {
        emulated::launch(dim3(layer.heads, tasks.size() / 2), 128, shared, kernel, q.data(),
                         k.data(), v.data(), cache.k_scales.data(), cache.v_scales.data(),
                         cache.tables.data(), cache.stride, tasks.data(), cu_seqlens.data(),
                         contexts.data(), out.data(), layer.kv_heads, dim, layer.block_size,
                         layer.window, causal ? 1u : 0u, layer.scale, layer.softcap);
    };
    vector<A> out(q.size(), narrow<A>(UNTOUCHED)), other = out;
    run(kernel, cache.stored_k, cache.stored_v, out);
    if (twin) {
        run(twin, cache.k, cache.v, other);
        hold(same(out, other), name, "is not what it is of the numbers themselves");
    }
    Worst worst;
    bool kept = true;
    for (uint32_t s = 0; s < rows.size(); s++)
        for (uint32_t i = 0; i < rows[s]; i++)
            for (uint32_t head = 0; head < layer.heads; head++) {
                const size_t at = (cu_seqlens[s] + i) * size_t(width) + head * dim;
                if (s + 1 == rows.size()) {
                    for (uint32_t d = 0; d < dim; d++) kept &= untouched(out[at + d]);
                    continue;
                }
                const uint32_t w = layer.window;
                const uint32_t high = causal ? contexts[s] - rows[s] + i + 1 : contexts[s];
                auto key = [&](uint32_t at) { return cache.at(s, at, head / group); };
                worst.add(&out[at], plain(layer, &q[at], w && high > w ? high - w : 0, high,
                                          cache.k, cache.v, key, key));
            }
    worst.hold(name, layer, allowed<C, A>());
    hold(kept, name, "wrote rows of no task");
}

template <typename A> using PackedKernel = void (*)(PACKED_ARGUMENTS(A));

template <typename A>
static void test_packed(const char *name, PackedKernel<A> kernel, uint32_t dim, uint32_t group,
                        size_t shared, bool long_texts) {
    Layer layer = layer_of(dim, group);
    const uint32_t before = one_of({UNBOUNDED, UNBOUNDED, 3u, 64u, 100u});
    const uint32_t after = one_of({UNBOUNDED, before, 0u, 70u});
    const Numbers rows = long_texts ? Numbers{64, 2, 17, 1, 200, 65, 3} : Numbers{70, 1, 3};
    const Numbers cu_seqlens = sums_of(rows), tasks = tasks_of(cu_seqlens);
    // Columns of one matrix, with some between that nobody should read.
    const uint32_t width = layer.heads * dim, kv_width = layer.kv_heads * dim;
    const uint32_t k_at = width + 8, v_at = k_at + kv_width, stride = v_at + kv_width + 8;
    vector<A> all(size_t(cu_seqlens.back()) * stride, narrow<A>(NAN));
    for (size_t row = 0; row < cu_seqlens.back(); row++) {
        fill(&all[row * stride], width, 1.7f);
        fill(&all[row * stride + k_at], 2 * kv_width, 1.2f);
    }
    all[cu_seqlens[2] * size_t(stride)] = narrow<A>(NAN);
    vector<A> out(size_t(cu_seqlens.back()) * width, narrow<A>(UNTOUCHED));
    emulated::launch(dim3(layer.heads, tasks.size() / 2), 128, shared, kernel, all.data(),
                     all.data() + k_at, all.data() + v_at, stride, stride, stride, tasks.data(),
                     cu_seqlens.data(), out.data(), layer.kv_heads, dim, before, after,
                     layer.scale, layer.softcap);
    Worst worst;
    bool kept = true;
    for (uint32_t s = 0; s < rows.size(); s++)
        for (uint32_t i = 0; i < rows[s]; i++)
            for (uint32_t head = 0; head < layer.heads; head++) {
                const size_t row = cu_seqlens[s] + i, at = row * width + head * dim;
                if (s + 1 == rows.size()) {
                    for (uint32_t d = 0; d < dim; d++) kept &= untouched(out[at + d]);
                    continue;
                }
                std::function<size_t(uint32_t)> key = [&](uint32_t j) {
                    return (cu_seqlens[s] + j) * size_t(stride) + k_at + head / group * dim;
                };
                std::function<size_t(uint32_t)> value = [&](uint32_t j) {
                    return key(j) + kv_width;
                };
                const uint32_t low = i > before ? i - before : 0;
                const uint64_t end = uint64_t(i) + after + 1;
                const uint32_t high = uint32_t(std::min<uint64_t>(rows[s], end));
                const A *from = &all[row * stride + head * dim];
                worst.add(&out[at], plain(layer, from, low, high, all, all, key, value));
            }
    layer.window = before;
    worst.hold(name, layer, tolerance<A>());
    hold(kept, name, "wrote rows of no task");
}

#define SPLIT_FAST(c, a, D, H, ...)                                                            \
    for (uint32_t dim : {__VA_ARGS__})                                                         \
        for (uint32_t group : H == 8 ? Numbers{1, 4, 7, 12} : Numbers{12, 3, 19})              \
            if ((turn++ + dim / 8) % 2 || dim == D)                                            \
                test_split<c, a>("attend_split_" #c "_" #a "_" #D "x" #H,                      \
                                 attend_split_##c##_##a##_##D##x##H, attend_combine_##a, dim,  \
                                 group);
#define SPLIT_PAIR(c, a)                                                                       \
    SPLIT_FAST(c, a, 64, 8, 8, 40, 64) SPLIT_FAST(c, a, 64, 16, 64)                            \
    SPLIT_FAST(c, a, 128, 8, 80, 96, 112, 128) SPLIT_FAST(c, a, 128, 16, 80, 128)              \
    SPLIT_FAST(c, a, 256, 8, 192, 256) SPLIT_FAST(c, a, 256, 16, 256)
#define SPLIT_CODES(a, D, H, ...)                                                              \
    for (uint32_t dim : {__VA_ARGS__})                                                         \
        for (uint32_t group : H == 8 ? Numbers{1, 7} : Numbers{12})                            \
            test_split<f8, a>("attend_split_f8_" #a "_" #D "x" #H,                             \
                              attend_split_f8_##a##_##D##x##H, attend_combine_##a, dim, group, \
                              attend_split_bf16_##a##_##D##x##H);
#define SPLIT_CODES_OF(a)                                                                      \
    SPLIT_CODES(a, 64, 8, 32, 64) SPLIT_CODES(a, 64, 16, 64) SPLIT_CODES(a, 128, 8, 80, 128)   \
    SPLIT_CODES(a, 128, 16, 128) SPLIT_CODES(a, 256, 8, 192, 256) SPLIT_CODES(a, 256, 16, 256)
#define SPLIT_PLAIN(c, C, a, A)                                                                \
    for (uint32_t dim : {8, 20, 80, 256})                                                      \
        test_split<C, A>("attend_split_" #c "_" #a, attend_split_##c##_##a,                    \
                         attend_combine_##a, dim, one_of({1u, 2u, 4u, 12u}));

#define ROWS_FAST(c, a, D)                                                                     \
    test_rows<c, a>("attend_rows_" #c "_" #a "_" #D, attend_rows_##c##_##a##_##D, D,           \
                    D > 64 ? 2 : one_of({1u, 2u, 3u, 7u}),                                     \
                    128 * (D + 8) * (D > 128 ? 3 : 2), D == 64 || turn++ % 8 == 0);
#define ROWS_PAIR(c, a)                                                                        \
    ROWS_FAST(c, a, 32) ROWS_FAST(c, a, 64) ROWS_FAST(c, a, 80) ROWS_FAST(c, a, 96)            \
    ROWS_FAST(c, a, 112) ROWS_FAST(c, a, 128) ROWS_FAST(c, a, 192) ROWS_FAST(c, a, 256)
#define ROWS_CODES(a, D)                                                                       \
    test_rows<f8, a>("attend_rows_f8_" #a "_" #D, attend_rows_f8_##a##_##D, D,                 \
                     one_of({1u, 2u, 3u}), 128 * (D + 8) * (D > 128 ? 3 : 2), D == 64,         \
                     attend_rows_bf16_##a##_##D);
#define ROWS_CODES_OF(a)                                                                       \
    ROWS_CODES(a, 32) ROWS_CODES(a, 64) ROWS_CODES(a, 80) ROWS_CODES(a, 96) ROWS_CODES(a, 112) \
    ROWS_CODES(a, 128) ROWS_CODES(a, 192) ROWS_CODES(a, 256)
#define ROWS_PLAIN(c, C, a, A)                                                                 \
    for (uint32_t dim : {8, 20, 64})                                                           \
        test_rows<C, A>("attend_rows_" #c "_" #a, attend_rows_##c##_##a, dim,                  \
                        one_of({1u, 2u, 3u, 4u}), 0, dim == 20);
#define PACKED_FAST(a, D)                                                                      \
    for (bool long_texts : {true, false, false})                                               \
        test_packed<a>("attend_packed_" #a "_" #D, attend_packed_##a##_##D, D,                 \
                       one_of({1u, 2u, 3u}), 256 * (D + 8), long_texts && D < 128);
#define PACKED_PLAIN(a, A)                                                                     \
    for (uint32_t dim : {8, 20, 64})                                                           \
        test_packed<A>("attend_packed_" #a, attend_packed_##a, dim, one_of({1u, 2u}), 0,       \
                       dim == 20);

// Numbers become the nearest codes under the least scale that holds them.
static void test_codes() {
    std::uniform_real_distribution<float> sizes(-14.0f, 9.0f);
    bool nearest = true, least = true;
    for (int i = 0; i < 20000; i++) {
        // Half of them lie between two codes.
        float x = std::exp2(sizes(generator)) * (i % 2 ? 1.0f : -1.0f);
        if (i % 4 < 2) {
            const uint8_t code = upto(0x7e);
            x = (number_of({code}) + number_of({uint8_t(code + 1)})) / (i % 4 ? 2 : -2);
        }
        const double off = std::abs(number_of({code_of(x)}) - std::fmin(std::fmax(x, -448), 448));
        double best = INFINITY;
        bool even = false;
        for (int code = 0; code < 256; code++) {
            if ((code & 0x7f) == 0x7f) continue;
            const double other =
                std::abs(number_of({uint8_t(code)}) - std::fmin(std::fmax(x, -448), 448));
            if (other < best || (other == best && code % 2 == 0)) even = code % 2 == 0;
            best = std::fmin(best, other);
        }
        nearest &= off == best && (!even || code_of(x) % 2 == 0);
    }
    for (int i = 0; i < 20000; i++) {
        const float x = i < 1000 ? std::exp2f(i % 8) * (1.74f + 0.00002f * i)
                                 : std::exp2(1.5f * sizes(generator));
        const int scale = scale_of(__float_as_uint(x));
        least &= std::ldexp(448.0, scale - 247) >= x && std::ldexp(448.0, scale - 248) < x;
    }
    hold(nearest, "code_of", "is not the nearest code");
    hold(least, "scale_of", "is not the least scale");
    hold(scale_of(__float_as_uint(1e30f)) == 254 && scale_of(0) == 121 &&
             scale_of(__float_as_uint(INFINITY)) == 255,
         "scale_of", "is another at its ends");
}

int main(int count, char **names) {
    int turn = 0;
    auto wanted = [&](const char *name) { return count < 2 || std::string(names[1]) == name; };
    if (wanted("codes")) test_codes();
    if (wanted("split")) {
        FOR_EACH_PAIR(SPLIT_PLAIN)
        SPLIT_PAIR(f16, f32) SPLIT_PAIR(f16, f16) SPLIT_PAIR(f16, bf16)
        SPLIT_PAIR(bf16, f32) SPLIT_PAIR(bf16, f16) SPLIT_PAIR(bf16, bf16)
        SPLIT_CODES_OF(f32) SPLIT_CODES_OF(f16) SPLIT_CODES_OF(bf16)
    }
    if (wanted("rows")) {
        FOR_EACH_PAIR(ROWS_PLAIN)
        ROWS_PAIR(f16, f32) ROWS_PAIR(f16, f16) ROWS_PAIR(f16, bf16)
        ROWS_PAIR(bf16, f32) ROWS_PAIR(bf16, f16) ROWS_PAIR(bf16, bf16)
        ROWS_CODES_OF(f32) ROWS_CODES_OF(f16) ROWS_CODES_OF(bf16)
    }
    if (wanted("packed")) {
        FOR_EACH_TYPE(PACKED_PLAIN)
        PACKED_FAST(f16, 32) PACKED_FAST(f16, 64) PACKED_FAST(f16, 80) PACKED_FAST(f16, 96)
        PACKED_FAST(f16, 128) PACKED_FAST(bf16, 32) PACKED_FAST(bf16, 64) PACKED_FAST(bf16, 80)
        PACKED_FAST(bf16, 96) PACKED_FAST(bf16, 128)
    }
    printf("%d checks, %d failures\n", cases, failures);
    return failures > 0;
}
