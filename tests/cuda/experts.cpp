// Kernels of mixtures of experts, held to plain loops: choices and lists exactly,
// products to what rounding allows.
//
//     g++ -std=c++20 -O2 -march=x86-64-v3 -fno-strict-aliasing -DDRAGOMAN_EMULATED \
//         -Itests/cuda tests/cuda/experts.cpp tests/cuda/emulate.cpp -o experts
#include "check.h"

#include "../../src/backend/kernels/cuda/experts.cu"
#include "../../src/backend/kernels/cuda/experts_blocks.cu"
#undef FEW
#undef OF_LAYOUT
#include "../../src/backend/kernels/cuda/experts_dense.cu"
#undef OF_TYPES
#include "../../src/backend/kernels/cuda/experts_mma.cu"
#undef MMA
#undef OF_TYPES
#include "../../src/backend/kernels/cuda/experts_expanded.cu"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

// As Routing::choose.
static void choose(const float *logits, uint32_t experts, uint32_t chosen, bool normalised,
                   std::vector<uint32_t> &ids, std::vector<double> &weights) {
    std::vector<uint32_t> all(experts);
    for (uint32_t e = 0; e < experts; e++) all[e] = e;
    std::stable_sort(all.begin(), all.end(), [&](uint32_t a, uint32_t b) {
        return logits[a] > logits[b] || (std::isnan(logits[b]) && !std::isnan(logits[a]));
    });
    all.resize(chosen);
    bool broken = std::any_of(logits, logits + experts, [](float x) { return std::isnan(x); });
    double total = 0, highest = logits[all[0]];
    if (normalised)
        for (uint32_t e : all) total += std::exp(logits[e] - highest);
    else
        for (uint32_t e = 0; e < experts; e++) total += std::exp(logits[e] - highest);
    for (uint32_t e : all) {
        ids.push_back(e);
        weights.push_back(broken ? NAN : std::exp(logits[e] - highest) / total);
    }
}

static void route(uint32_t rows, uint32_t experts, uint32_t chosen, bool normalised, int kind) {
    const float odd[] = {0.0f, -0.0f, 1.0f, INFINITY, -INFINITY, NAN, -1e-40f, 1e-40f};
    std::vector<float> logits(rows * experts);
    for (float &x : logits) {
        // Random ones, many equal ones, and with what is not finite among them.
        x = float(random_number(-9, 9));
        if (kind > 0) x = std::round(x / 4);
        if (kind > 1 && generator() % 5 == 0) x = odd[generator() % 8];
    }
    std::vector<uint32_t> slots(rows, 7), ids(rows * chosen + 1, 77);
    std::vector<float> weights(rows * chosen + 1, 77);
    if (rows > 2) slots[rows - 2] = 0xffffffff;
    const uint32_t *given = generator() % 2 ? slots.data() : nullptr;
    emulated::launch((rows + 3) / 4, 128, 0, route_experts, logits.data(), given, ids.data(),
                     weights.data(), rows, experts, chosen, uint32_t(normalised));
    std::vector<uint32_t> expected;
    std::vector<double> shares;
    for (uint32_t r = 0; r < rows; r++)
        choose(&logits[r * experts], experts, chosen, normalised, expected, shares);
    for (uint32_t i = 0; i < rows * chosen; i++) {
        if (given && slots[i / chosen] == 0xffffffff) {
            check(ids[i] == NO_EXPERT && weights[i] == 0, "a row that is none chooses");
            continue;
        }
        bool same = std::isnan(shares[i]) ? std::isnan(weights[i])
                                          : std::fabs(weights[i] - shares[i]) < 2e-6;
        check(ids[i] == expected[i] && same, "route %u of %u: row %u has %u %g, not %u %g",
              chosen, experts, i / chosen, ids[i], weights[i], expected[i], shares[i]);
    }
    check(ids.back() == 77 && weights.back() == 77, "route writes behind its rows");
}

// Choices of experts, and their lists as the kernel makes them.
struct Lists {
    uint32_t rows, experts, chosen, tile, n, entries;
    bool by_slot;
    std::vector<uint32_t> ids, starts, order, slot_of, tiles;

    // `skew`: all rows prefer the first experts.
    Lists(uint32_t rows, uint32_t experts, uint32_t chosen, uint32_t tile, bool skew)
        : rows(rows), experts(experts), chosen(chosen), tile(tile), n(rows * chosen) {
        for (uint32_t r = 0; r < rows; r++) {
            std::vector<uint32_t> all(experts);
            for (uint32_t e = 0; e < experts; e++) all[e] = e;
            std::shuffle(all.begin(), all.end(), generator);
            if (skew && r % 4) std::sort(all.begin(), all.end());
            // A row that only fills the step up.
            if (r == rows / 2 && rows > 3) std::fill(all.begin(), all.end(), NO_EXPERT);
            ids.insert(ids.end(), all.begin(), all.begin() + chosen);
        }
        sort();
    }

    // The same choices in other tiles.
    Lists in_tiles(uint32_t of) const {
        Lists other = *this;
        other.tile = of;
        other.sort();
        return other;
    }

    void sort() {
        by_slot = n <= n / tile + experts;
        entries = by_slot ? n : n / tile + experts;
        starts.assign(experts + 1, 77);
        order.assign(n, NO_EXPERT);
        slot_of.assign(n, NO_EXPERT);
        tiles.assign(2 * entries, 77777);
        emulated::launch(experts, 512, 0, list_experts, ids.data(), starts.data(), order.data(),
                         slot_of.data(), tiles.data(), n, tile, entries, uint32_t(by_slot));
    }

    void hold() const {
        uint32_t slot = 0, entry = 0;
        for (uint32_t e = 0; e < experts; e++) {
            check(starts[e] == slot, "expert %u begins at %u, not %u", e, starts[e], slot);
            for (uint32_t i = 0; i < n; i++) {
                if (ids[i] != e) continue;
                check(order[slot] == i && slot_of[i] == slot, "choice %u is at %u", i, slot);
                slot++;
            }
            for (uint32_t s = starts[e]; s < slot; s += tile) {
                while (entry < entries && tiles[2 * entry] == NO_EXPERT) entry++;
                bool here = entry < entries && tiles[2 * entry] == e && tiles[2 * entry + 1] == s;
                check(here, "entry %u has no tile of %u at %u", entry, e, s);
                entry++;
            }
        }
        check(starts[experts] == slot, "%u slots, not %u", starts[experts], slot);
        for (; entry < entries; entry++)
            check(tiles[2 * entry] == NO_EXPERT, "entry %u is of %u", entry, tiles[2 * entry]);
    }

    uint32_t row_of_slot(uint32_t slot, bool of_batch) const {
        return of_batch ? order[slot] / chosen : slot;
    }
    uint32_t expert_of_slot(uint32_t slot) const { return ids[order[slot]]; }
    uint32_t used() const { return starts[experts]; }
};

// Rounds in y relative to its size, and in sums to that of their terms.
static void hold_product(const char *what, const Lists &lists, bool of_batch,
                         const std::vector<double> &w, const std::vector<double> &x,
                         uint32_t outputs, uint32_t inputs, const std::vector<double> &y,
                         double rounding, double in_sums) {
    for (uint32_t slot = 0; slot < lists.n; slot++) {
        for (uint32_t o = 0; o < outputs; o++) {
            double value = y[size_t(slot) * outputs + o];
            if (slot >= lists.used()) {
                check(value == -77, "%s writes slot %u of nobody", what, slot);
                continue;
            }
            const double *a = &w[(size_t(lists.expert_of_slot(slot)) * outputs + o) * inputs];
            const double *b = &x[size_t(lists.row_of_slot(slot, of_batch)) * inputs];
            double sum = 0, size = 0;
            for (uint32_t i = 0; i < inputs; i++) {
                sum += a[i] * b[i];
                size += std::fabs(a[i] * b[i]);
            }
            double allowed = size * in_sums + std::fabs(sum) * rounding;
            check(std::fabs(value - sum) <= allowed, "%s (%u, %u) slot %u output %u: %g, not %g",
                  what, outputs, inputs, slot, o, value, sum);
        }
    }
}

template <typename T> static std::vector<double> wide(const std::vector<T> &from) {
    std::vector<double> to;
    for (const T &x : from) to.push_back(widen(x));
    return to;
}

template <typename T, typename Y>
using DenseKernel = void (*)(const T *, const T *, Y *, const uint32_t *, const uint32_t *,
                             const uint32_t *, uint32_t, uint32_t, uint32_t);
template <typename T, typename Y>
using PlainKernel = void (*)(const T *, const T *, Y *, const uint32_t *, const uint32_t *,
                             const uint32_t *, uint32_t, uint32_t, uint32_t, uint32_t);

// Numbers aligned to 16 bytes, and not one more than there must be.
template <typename T> struct Aligned {
    std::vector<uint4> space;
    size_t len;
    explicit Aligned(size_t len) : space((len * sizeof(T) + 15) / 16), len(len) {}
    T *data() { return reinterpret_cast<T *>(space.data()); }
    std::vector<double> wide() {
        std::vector<double> to;
        for (size_t i = 0; i < len; i++) to.push_back(widen(data()[i]));
        return to;
    }
};

// Whether each row is the same, to the last bit, whoever is in its tile.
template <typename Y>
static void hold_same(const char *what, const std::vector<Y> &y, const std::vector<Y> &alone) {
    check(memcmp(y.data(), alone.data(), y.size() * sizeof(Y)) == 0,
          "%s: a row depends on its company", what);
}

template <typename T, typename Y>
static void dense(const char *what, const Lists &lists, bool of_batch, uint32_t outputs,
                  uint32_t inputs, double rounding, DenseKernel<T, Y> few, PlainKernel<T, Y> plain,
                  DenseKernel<T, Y> mma, DenseKernel<T, Y> one = nullptr) {
    Aligned<T> w(size_t(lists.experts) * outputs * inputs);
    Aligned<T> x(size_t(of_batch ? lists.rows : lists.n) * inputs);
    for (size_t i = 0; i < w.len; i++) w.data()[i] = narrow<T>(float(random_number(-1, 1)));
    for (size_t i = 0; i < x.len; i++) x.data()[i] = narrow<T>(float(random_number(-2, 2)));
    std::vector<Y> y(size_t(lists.n) * outputs, narrow<Y>(-77));
    uint32_t chosen = of_batch ? lists.chosen : 0;
    const auto run_few = [&](const Lists &lists, DenseKernel<T, Y> few, std::vector<Y> &y) {
        emulated::launch(dim3((outputs + 7) / 8, lists.entries), 256, 0, few, w.data(), x.data(),
                         y.data(), lists.order.data(), lists.starts.data(), lists.tiles.data(),
                         outputs, inputs, chosen);
    };
    if (few) {
        std::vector<Y> alone = y;
        run_few(lists, few, y);
        run_few(lists.in_tiles(1), one, alone);
        hold_same(what, y, alone);
    }
    if (plain)
        emulated::launch(dim3((outputs + 63) / 64, lists.entries), 256, 0, plain, w.data(),
                         x.data(), y.data(), lists.order.data(), lists.starts.data(),
                         lists.tiles.data(), outputs, inputs, chosen, lists.tile);
    if (mma) {
        uint32_t shared = mma_stages(false, lists.tile) * (lists.tile + 128) * 128;
        emulated::launch(dim3((outputs + 127) / 128, lists.entries), 128, shared, mma, w.data(),
                         x.data(), y.data(), lists.order.data(), lists.starts.data(),
                         lists.tiles.data(), outputs, inputs, chosen);
    }
    hold_product(what, lists, of_batch, w.wide(), x.wide(), outputs, inputs, wide(y), rounding,
                 2e-6);
}

enum Kind { FOUR, FIVE, SIX, EIGHT };

// A matrix as blocks.rs lays it out, and its weights.
struct Weights {
    std::vector<uint4> codes, high;
    std::vector<uint32_t> scales;
    std::vector<float> factors;
    std::vector<double> dense;

    const uint8_t *code_bytes() const { return reinterpret_cast<const uint8_t *>(codes.data()); }
    const uint8_t *high_bytes() const { return reinterpret_cast<const uint8_t *>(high.data()); }
    const uint16_t *scale_bits() const {
        return reinterpret_cast<const uint16_t *>(scales.data());
    }

    // Of random bits; what they stand for is the layout's own reading of them,
    // which quantized.cpp holds to blocks.rs.
    template <typename L> static Weights random(Kind kind, uint32_t rows, uint32_t columns) {
        Weights w;
        size_t blocks = size_t(rows) * columns / 32;
        w.codes.resize(blocks * (kind == EIGHT ? 2 : 1));
        w.high.resize((blocks * (kind == FIVE ? 4 : kind == SIX ? 8 : 0) + 15) / 16);
        w.scales.resize(kind == EIGHT ? (blocks + 1) / 2 : blocks);
        for (auto *words : {&w.codes, &w.high})
            for (uint4 &word : *words)
                word = make_uint4(generator(), generator(), generator(), generator());
        for (uint32_t &pair : w.scales) {
            auto half = [] {
                f16 x = narrow<f16>(float(random_number(-2000, 2000)));
                return uint32_t(__half_as_ushort(x));
            };
            pair = half() | half() << 16;
        }
        Matrix m = {w.code_bytes(), w.high_bytes(), w.scale_bits(), columns / 32};
        for (uint32_t r = 0; r < rows; r++) {
            w.factors.push_back(std::ldexp(1.0f, int(random_number(-18, -13))));
            for (uint32_t e = 0; e < columns / 8; e++) {
                float eight[8];
                L::eight(m, r, e / 4, e % 4, eight);
                for (float x : eight) w.dense.push_back(double(x) * w.factors[r]);
            }
        }
        return w;
    }
};

typedef void (*FewBlocks)(const uint8_t *, const uint8_t *, const uint16_t *, const float *,
                          const int8_t *, const float2 *, float *, const uint32_t *,
                          const uint32_t *, const uint32_t *, uint32_t, uint32_t, uint32_t);
typedef void (*MmaBlocks)(const uint8_t *, const uint8_t *, const uint16_t *, const float *,
                          const bf16 *, float *, const uint32_t *, const uint32_t *,
                          const uint32_t *, uint32_t, uint32_t, uint32_t);

static void few_blocks(const Lists &lists, bool of_batch, const Weights &w, uint32_t outputs,
                       uint32_t columns, FewBlocks kernel, FewBlocks one) {
    uint32_t rows = of_batch ? lists.rows : lists.n, blocks = columns / 32;
    // Bytes where quantize_rows puts them: halves of blocks apart.
    Aligned<int8_t> q(size_t(rows) * columns);
    std::vector<float2> steps(size_t(rows) * blocks);
    std::vector<double> x(size_t(rows) * columns);
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t b = 0; b < blocks; b++) {
            float scale = float(random_number(0.001, 0.02));
            int sum = 0;
            for (uint32_t c = 0; c < 32; c++) {
                int byte = int(generator() % 255) - 127;
                sum += byte;
                q.data()[size_t(r) * columns + (c / 16 * blocks + b) * 16 + c % 16] = int8_t(byte);
                x[size_t(r) * columns + b * 32 + c] = double(byte) * scale;
            }
            steps[size_t(r) * blocks + b] = make_float2(scale, scale * float(sum));
        }
    std::vector<float> y(size_t(lists.n) * outputs, -77.0f);
    std::vector<float> alone = y;
    const auto run = [&](const Lists &lists, FewBlocks kernel, std::vector<float> &y) {
        emulated::launch(dim3((outputs + 15) / 16, lists.entries), 256, 0, kernel,
                         w.code_bytes(), w.high_bytes(), w.scale_bits(), w.factors.data(),
                         static_cast<const int8_t *>(q.data()), steps.data(), y.data(),
                         lists.order.data(), lists.starts.data(), lists.tiles.data(), outputs,
                         columns, of_batch ? lists.chosen : 0);
    };
    run(lists, kernel, y);
    run(lists.in_tiles(1), one, alone);
    hold_same("bytes", y, alone);
    hold_product("bytes", lists, of_batch, w.dense, x, outputs, columns, wide(y), 1e-6, 2e-6);
}

static void mma_blocks(const Lists &lists, bool of_batch, const Weights &w, uint32_t outputs,
                       uint32_t columns, MmaBlocks kernel) {
    Aligned<bf16> x(size_t(of_batch ? lists.rows : lists.n) * columns);
    for (size_t i = 0; i < x.len; i++) x.data()[i] = narrow<bf16>(float(random_number(-2, 2)));
    std::vector<float> y(size_t(lists.n) * outputs, -77.0f);
    uint32_t shared = mma_stages(true, lists.tile) * (lists.tile + 128) * 128;
    emulated::launch(dim3((outputs + 127) / 128, lists.entries), 128, shared, kernel,
                     w.code_bytes(), w.high_bytes(), w.scale_bits(), w.factors.data(),
                     static_cast<const bf16 *>(x.data()), y.data(), lists.order.data(),
                     lists.starts.data(), lists.tiles.data(), outputs, columns,
                     of_batch ? lists.chosen : 0);
    // Weights are rounded to bf16; the sign of an error is as good as random.
    std::vector<double> rounded;
    for (size_t i = 0; i < w.dense.size(); i++) {
        float factor = w.factors[i / columns];
        rounded.push_back(widen(narrow<bf16>(float(w.dense[i] / factor))) * double(factor));
    }
    hold_product("expanded", lists, of_batch, rounded, x.wide(), outputs, columns, wide(y), 1e-6,
                 2e-6);
}

template <typename L>
static void blocks(Kind kind, const FewBlocks (&few)[3], const MmaBlocks (&mma)[2]) {
    for (uint32_t columns : {32, 96, 256, 1184}) {
        const uint32_t outputs = columns == 32 ? 150 : 21, experts = 5;
        Weights w = Weights::random<L>(kind, experts * outputs, columns);
        for (int i = 0; i < 3; i++) {
            few_blocks(Lists(1, experts, 3, 1 << i, false), true, w, outputs, columns, few[i],
                       few[0]);
            few_blocks(Lists(6, experts, 2, 1 << i, true), true, w, outputs, columns, few[i],
                       few[0]);
            few_blocks(Lists(6, experts, 2, 1 << i, false), false, w, outputs, columns, few[i],
                       few[0]);
        }
        for (int i = 0; i < 2; i++) {
            Lists lists(47, experts, 2, i ? 64 : 16, i);
            mma_blocks(lists, true, w, outputs, columns, mma[i]);
            mma_blocks(lists, false, w, outputs, columns, mma[i]);
        }
    }
}

template <typename T, typename Y>
static void dense_types(double rounding, const DenseKernel<T, Y> (&few)[3],
                        PlainKernel<T, Y> plain, const DenseKernel<T, Y> *mma) {
    for (uint32_t inputs : {8, 40, 264, 1096}) {
        const uint32_t outputs = inputs == 40 ? 300 : 19, experts = 6;
        for (int i = 0; i < 3; i++) {
            for (uint32_t rows : {1, 7}) {
                Lists lists(rows, experts, 3, 1 << i, rows > 1);
                dense<T, Y>("few", lists, true, outputs, inputs, rounding, few[i], nullptr,
                            nullptr, few[0]);
                dense<T, Y>("few", lists, false, outputs, inputs, rounding, few[i], nullptr,
                            nullptr, few[0]);
            }
        }
        for (int i = 0; mma && i < 2; i++) {
            Lists lists(100, experts, 2, i ? 64 : 16, i);
            dense<T, Y>("mma", lists, true, outputs, inputs, rounding, nullptr, nullptr, mma[i]);
            dense<T, Y>("mma", lists, false, outputs, inputs, rounding, nullptr, nullptr, mma[i]);
        }
    }
    for (uint32_t inputs : {7, 65})
        for (uint32_t tile : {2, 16, 64}) {
            Lists lists(40, 6, 2, tile, tile == 64);
            dense<T, Y>("plain", lists, tile > 2, 70, inputs, rounding, nullptr, plain, nullptr);
        }
}

static void combine(uint32_t rows, uint32_t width, bool with_shared) {
    Lists lists(rows, 7, 3, 4, false);
    std::vector<float> y(lists.n * width), weights(lists.n), shared(rows * width), shares(rows);
    for (auto *values : {&y, &weights, &shared, &shares})
        for (float &x : *values) x = float(random_number(-3, 3));
    std::vector<float> out(rows * width);
    const float *none = nullptr;
    emulated::launch(dim3(rows, (width + 255) / 256), 256, 0, combine_experts, y.data(),
                     lists.ids.data(), weights.data(), lists.slot_of.data(),
                     with_shared ? shared.data() : none, shares.data(), out.data(), width,
                     lists.chosen);
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t i = 0; i < width; i++) {
            double sum = 0;
            for (uint32_t c = r * 3; c < r * 3 + 3; c++)
                if (lists.ids[c] != NO_EXPERT)
                    sum += double(weights[c]) * y[lists.slot_of[c] * width + i];
            if (with_shared) sum += shared[r * width + i] / (1 + std::exp(-double(shares[r])));
            float value = out[r * width + i];
            check(std::fabs(value - sum) < 1e-5, "row %u of %u: %g, not %g", r, i, value, sum);
        }
}

#define FEW_OF(name) {experts_##name##_1, experts_##name##_2, experts_##name##_4}
#define MMA_OF_NAME(name) {experts_mma_##name##_16, experts_mma_##name##_64}
#define BLOCKS_OF(kind, layout, Layout)                                                    \
    blocks<Layout>(kind, FEW_OF(layout), MMA_OF_NAME(layout##_f32))

int main() {
    for (int kind : {0, 1, 2})
        for (bool normalised : {false, true})
            for (auto [experts, chosen] : {std::pair<uint32_t, uint32_t>{1, 1}, {5, 3}, {8, 8},
                                           {33, 2}, {128, 8}, {200, 40}})
                for (uint32_t rows : {1, 9}) route(rows, experts, chosen, normalised, kind);
    for (uint32_t tile : {1, 2, 4, 16, 64})
        for (bool skew : {false, true})
            for (uint32_t rows : {1, 3, 20, 150, 700}) {
                Lists(rows, 5, 3, tile, skew).hold();
                Lists(rows, 1, 1, tile, skew).hold();
                if (rows < 200) Lists(rows, 40, 8, tile, skew).hold();
            }
    dense_types<f32, f32>(1e-7, FEW_OF(f32_f32), experts_plain_f32_f32, nullptr);
    const DenseKernel<f16, f16> f16_mma[] = MMA_OF_NAME(f16_f16);
    dense_types<f16, f16>(0x1p-11, FEW_OF(f16_f16), experts_plain_f16_f16, f16_mma);
    const DenseKernel<f16, f32> f16_f32_mma[] = MMA_OF_NAME(f16_f32);
    dense_types<f16, f32>(1e-7, FEW_OF(f16_f32), experts_plain_f16_f32, f16_f32_mma);
    const DenseKernel<bf16, bf16> bf16_mma[] = MMA_OF_NAME(bf16_bf16);
    dense_types<bf16, bf16>(0x1p-8, FEW_OF(bf16_bf16), experts_plain_bf16_bf16, bf16_mma);
    const DenseKernel<bf16, f32> bf16_f32_mma[] = MMA_OF_NAME(bf16_f32);
    dense_types<bf16, f32>(1e-7, FEW_OF(bf16_f32), experts_plain_bf16_f32, bf16_f32_mma);
    BLOCKS_OF(FOUR, four, FourLayout);
    BLOCKS_OF(FIVE, five, FiveLayout);
    BLOCKS_OF(SIX, six, SixLayout);
    BLOCKS_OF(EIGHT, eight, EightLayout);
    for (uint32_t width : {1, 64, 300})
        for (bool with_shared : {false, true}) combine(5, width, with_shared);
    printf("%d of %d checks failed\n", failures, checks);
    return failures > 0;
}
