// Kernels of quantized weights, held to double loops over random matrices.
//
//     g++ -std=c++20 -O2 -march=x86-64-v3 -fno-strict-aliasing -DDRAGOMAN_EMULATED \
//         -Itests/cuda tests/cuda/quantized.cpp tests/cuda/emulate.cpp -o quantized
#include "check.h"

#include "../../src/backend/kernels/cuda/quantized.cu"
#include "../../src/backend/kernels/cuda/quantized_tile.cu"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

enum Kind { FOUR, FIVE, SIX, EIGHT };
static const char *const NAMES[] = {"four", "five", "six", "eight"};

// A matrix as blocks.rs lays it out, and its weights.
struct Weights {
    Kind kind;
    uint32_t rows, columns;
    std::vector<uint4> codes, high;
    std::vector<uint32_t> scales;
    std::vector<float> factors;
    std::vector<double> dense;

    uint8_t *code_bytes() { return reinterpret_cast<uint8_t *>(codes.data()); }
    uint8_t *high_bytes() { return reinterpret_cast<uint8_t *>(high.data()); }
    uint16_t *scale_bits() { return reinterpret_cast<uint16_t *>(scales.data()); }

    Weights(Kind kind, uint32_t rows, uint32_t columns)
        : kind(kind), rows(rows), columns(columns), factors(rows),
          dense(size_t(rows) * columns) {
        size_t blocks = size_t(rows) * columns / 32;
        // Exactly as long as they must be, so that reads past the end are found.
        codes.resize(blocks * (kind == EIGHT ? 2 : 1));
        high.resize((blocks * (kind == FIVE ? 4 : kind == SIX ? 8 : 0) + 15) / 16);
        scales.resize(kind == EIGHT ? (blocks + 1) / 2 : blocks, 0x7fff7fff);
        for (uint32_t r = 0; r < rows; r++) {
            factors[r] = std::ldexp(1.0f, int(random_number(-18, -13)));
            for (uint32_t b = 0; b < columns / 32; b++) block(r, b);
        }
    }

    float scale(size_t at) {
        f16 rounded = narrow<f16>(float(random_number(-2000, 2000)));
        scale_bits()[at] = __half_as_ushort(rounded);
        return widen(rounded);
    }

    void block(uint32_t r, uint32_t b) {
        const uint32_t largest[] = {15, 31, 63, 255};
        size_t at = size_t(r) * columns / 32 + b;
        float first = scale(kind == EIGHT ? at : 2 * at);
        float second = kind == EIGHT ? 0 : scale(2 * at + 1);
        for (uint32_t c = 0; c < 32; c++) {
            uint32_t half = c / 16, k = c % 16, g = k / 4, j = k % 4;
            uint32_t q = generator() >> 8 & largest[kind];
            double weight;
            if (kind == EIGHT) {
                code_bytes()[((size_t(r) * 2 + half) * (columns / 32) + b) * 16 + k] = q;
                weight = double(int8_t(q)) * first;
            } else {
                code_bytes()[at * 16 + k] |= (q & 15) << (4 * half);
                uint8_t *high = high_bytes() + j;
                if (kind == FIVE) high[at * 4] |= (q >> 4) << (4 * half + g);
                if (kind == SIX) high[at * 8 + half * 4] |= ((q >> 4) ^ 2) << (2 * g);
                if (kind == SIX) weight = (double(q) - 32) * (half ? second : first);
                else weight = double(q) * first + second;
            }
            dense[size_t(r) * columns + b * 32 + c] = weight * factors[r];
        }
    }
};

typedef void (*MatVec)(const uint8_t *, const uint8_t *, const uint16_t *, const float *,
                       const int8_t *, const float2 *, const float *, float *, uint32_t,
                       uint32_t, uint32_t, uint32_t);
typedef void (*Tiled)(const uint8_t *, const uint8_t *, const uint16_t *, const float *,
                      const int8_t *, const float2 *, float *, float4 *, uint32_t *, uint32_t,
                      uint32_t, uint32_t, uint32_t, uint32_t);
template <typename A>
using Expand = void (*)(const uint8_t *, const uint8_t *, const uint16_t *, const float *, A *,
                        uint32_t, uint32_t, uint32_t);
typedef void (*Gather)(const uint8_t *, const uint8_t *, const uint16_t *, const float *,
                       const uint32_t *, float *, uint32_t, uint32_t, float);
template <typename A> struct Kernels {
    const char *name;
    Expand<A> expand[4];
    void (*quantize)(const A *, int8_t *, float2 *, uint32_t, uint32_t);
    void (*gather)(const A *, const uint32_t *, float *, uint32_t, uint32_t, float);
};
#define KERNELS(type)                                                                      \
    {#type,                                                                                \
     {expand_four_##type, expand_five_##type, expand_six_##type, expand_eight_##type},     \
     quantize_rows_##type,                                                                 \
     gather_##type}
static const std::tuple<Kernels<f32>, Kernels<f16>, Kernels<bf16>> KERNELS_OF = {
    KERNELS(f32), KERNELS(f16), KERNELS(bf16)};
#define OF_N(layout)                                                                       \
    {matvec_##layout##_f32_1, matvec_##layout##_f32_2, matvec_##layout##_f32_3,            \
     matvec_##layout##_f32_4}
static const MatVec MATVEC_OF[4][4] = {OF_N(four), OF_N(five), OF_N(six), OF_N(eight)};
#define OF_TILE(layout)                                                                    \
    {quantized_tile_##layout##_8, quantized_tile_##layout##_16, quantized_tile_##layout##_32, \
     quantized_tile_##layout##_64}
static const Tiled TILE_OF[4][4] = {OF_TILE(four), OF_TILE(five), OF_TILE(six),
                                    OF_TILE(eight)};
template <typename L>
constexpr uint32_t SHARED_OF_LAYOUT[] = {QuantizedTile<L, 8>::SHARED, QuantizedTile<L, 16>::SHARED,
                                         QuantizedTile<L, 32>::SHARED,
                                         QuantizedTile<L, 64>::SHARED};
static const uint32_t *const SHARED_OF[] = {
    SHARED_OF_LAYOUT<FourLayout>, SHARED_OF_LAYOUT<FiveLayout>, SHARED_OF_LAYOUT<SixLayout>,
    SHARED_OF_LAYOUT<EightLayout>};
static const Gather GATHERS[] = {gather_four, gather_five, gather_six, gather_eight};

// Activations (n, columns) with gaps between their rows, and as the kernel
// quantizes them.
template <typename A> struct Activations {
    std::vector<uint4> q;
    std::vector<float2> steps;
    std::vector<double> values;

    Activations(const Kernels<A> &kernels, uint32_t n, uint32_t columns, double spoilt = 0) {
        uint32_t stride = columns + 5, blocks = columns / 32;
        std::vector<A> x(size_t(n) * stride);
        for (A &value : x) value = narrow<A>(float(random_number(-3, 3)));
        for (uint32_t c = 0; c < 32; c++) x[c] = narrow<A>(0);
        if (spoilt != 0) x[7] = A(float(spoilt));
        q.resize(size_t(n) * columns / 16);
        steps.resize(size_t(n) * blocks);
        int8_t *bytes = reinterpret_cast<int8_t *>(q.data());
        emulated::launch(dim3(n, (columns + 1023) / 1024), 256, 0, kernels.quantize, x.data(),
                         bytes, steps.data(), columns, stride);
        for (uint32_t row = 0; row < n; row++) {
            int sum = 0;
            for (uint32_t c = 0; c < columns; c++) {
                uint32_t b = c / 32, half = c % 32 / 16;
                float2 step = steps[size_t(row) * blocks + b];
                int byte = bytes[size_t(row) * columns + (half * blocks + b) * 16 + c % 16];
                sum = (c % 32 ? sum : 0) + byte;
                values.push_back(double(byte) * step.x);
                if (spoilt != 0 && row == 0 && b == 0) continue;
                double error = std::fabs(values.back() - widen(x[size_t(row) * stride + c]));
                check(error <= step.x * 0.5001, "quantize_rows_%s: %u %u", kernels.name, row,
                      c);
                bool same = step.y == step.x * float(sum);
                if (c % 32 == 31) check(same, "the sum of %u %u", row, c);
            }
        }
    }
};

// Holds row i of a product, `stride` numbers of which some are no result, to the
// plain sum.
static void check_row(const Weights &w, const std::vector<double> &x, uint32_t i,
                      const float *y, const float *bias, uint32_t stride, bool spoilt,
                      const char *what) {
    for (uint32_t r = 0; r < stride; r++) {
        if (r >= w.rows) {
            check(y[r] == -77, "%s writes between rows", what);
            continue;
        }
        if (spoilt) {
            check(y[r] != y[r], "%s: a number that is not finite is lost", what);
            continue;
        }
        double sum = bias ? bias[r] : 0, size = std::fabs(sum);
        const double *weights = &w.dense[size_t(r) * w.columns];
        const double *values = &x[size_t(i) * w.columns];
        for (uint32_t c = 0; c < w.columns; c++) {
            double term = weights[c] * values[c];
            sum += term;
            size += std::fabs(term);
        }
        check(std::fabs(y[r] - sum) <= size * 2e-6 + std::fabs(sum) * 0x1p-24,
              "%s_%s (%u, %u): row %u, output %u is %g, not %g", what, NAMES[w.kind], w.rows,
              w.columns, i, r, y[r], sum);
    }
}

static const Kernels<f32> &F32 = std::get<0>(KERNELS_OF);

static void multiply(Weights &w, uint32_t n, uint32_t warps, uint32_t split,
                     double spoilt = 0) {
    Activations<f32> x(F32, n, w.columns, spoilt);
    std::vector<float> bias(w.rows);
    for (float &value : bias) value = float(random_number(-5, 5));
    const float *given = n % 2 ? bias.data() : nullptr;
    uint32_t stride = w.rows + 3, rows = ROWS_OF_WARP * warps / split;
    std::vector<float> y(size_t(n) * stride, -77);
    emulated::launch((w.rows + rows - 1) / rows, 32 * warps, 0, MATVEC_OF[w.kind][n - 1],
                     w.code_bytes(), w.high_bytes(), w.scale_bits(), w.factors.data(),
                     reinterpret_cast<const int8_t *>(x.q.data()), x.steps.data(), given,
                     y.data(), w.rows, w.columns, stride, split);
    for (uint32_t i = 0; i < n; i++)
        check_row(w, x.values, i, &y[size_t(i) * stride], given, stride, spoilt != 0 && i == 0,
                  "matvec");
}

// A product by tiles of 8 << size rows.
static std::vector<float> tiled(Weights &w, const Activations<f32> &x, uint32_t n, int size,
                                uint32_t chain, uint32_t stride) {
    const uint32_t wide = 8 << size, units = (w.columns + 127) / 128;
    dim3 grid((n + wide - 1) / wide, (w.rows + 127) / 128, (units + chain - 1) / chain);
    std::vector<float> y(size_t(n) * stride, -77);
    size_t len = grid.z > 1 ? size_t(grid.x) * grid.y * grid.z * 128 * wide / 4 : 0;
    std::vector<float4> parts(len + 1, make_float4(NAN, NAN, NAN, NAN));
    std::vector<uint32_t> done(grid.x * grid.y, 0);
    parts[len].x = -77;
    emulated::launch(grid, 256, SHARED_OF[w.kind][size], TILE_OF[w.kind][size],
                     w.code_bytes(), w.high_bytes(), w.scale_bits(), w.factors.data(),
                     reinterpret_cast<const int8_t *>(x.q.data()), x.steps.data(), y.data(),
                     parts.data(), done.data(), w.rows, w.columns, n, stride, chain);
    check(parts[len].x == -77, "tiles write past their parts");
    check(std::count(done.begin(), done.end(), 0u) == long(done.size()), "tiles count on");
    return y;
}

static bool same_bits(const std::vector<float> &a, const std::vector<float> &b) {
    return !memcmp(a.data(), b.data(), std::min(a.size(), b.size()) * sizeof(float));
}

// All sizes of tiles, for the rows and for some of them: equal to the last bit.
static void tile(Kind kind, uint32_t outputs, uint32_t columns, uint32_t n, uint32_t chain,
                 double spoilt = 0) {
    Weights w(kind, outputs, columns);
    Activations<f32> x(F32, n, columns, spoilt);
    const uint32_t stride = outputs + 3;
    const std::vector<float> y = tiled(w, x, n, 3, chain, stride);
    for (uint32_t i = 0; i < n; i++)
        check_row(w, x.values, i, &y[size_t(i) * stride], nullptr, stride,
                  spoilt != 0 && i == 0, "tile");
    for (int size = 0; size < 4; size++)
        for (uint32_t some : {n, 1 + uint32_t(generator()) % n})
            check(same_bits(y, tiled(w, x, some, size, chain, stride)),
                  "tile_%s_%d (%u, %u) chains of %u: %u of %u rows differ", NAMES[kind],
                  8 << size, outputs, columns, chain, some, n);
}

// As a kernel for rows of a list would use the tile.
static void listed(Weights *w, const Activations<f32> *x, const std::vector<uint32_t> *list,
                   float *y) {
    typedef QuantizedTile<FiveLayout, 16> Tile;
    DYNAMIC_SHARED(unsigned char, shared);
    const Matrix m = {w->code_bytes(), w->high_bytes(), w->scale_bits(), w->columns / BLOCK};
    Tile::Sums sums;
    Tile::run(sums, shared, m, 0, w->rows,
              {reinterpret_cast<const int8_t *>(x->q.data()), x->steps.data(), list->data(),
               uint32_t(list->size())},
              0, 0, (w->columns + 127) / 128);
    Tile::each(sums, 0, w->rows, 0, list->size(), [&](uint32_t r, uint32_t o, float sum) {
        y[r * w->rows + o] = sum * w->factors[o];
    });
}

static void list_of_rows() {
    Weights w(FIVE, 60, 576);
    Activations<f32> x(F32, 20, 576);
    const std::vector<float> all = tiled(w, x, 20, 2, 5, 60);
    const std::vector<uint32_t> list = {19, 0, 7, 7, 3, 11, 12, 1, 2};
    std::vector<float> y(list.size() * 60);
    emulated::launch(1, 256, QuantizedTile<FiveLayout, 16>::SHARED, listed, &w, &x, &list,
                     y.data());
    for (size_t i = 0; i < y.size(); i++)
        check(y[i] == all[list[i / 60] * 60 + i % 60], "row %zu of a list", i / 60);
}

static void tiles() {
    for (Kind kind : {FOUR, FIVE, SIX, EIGHT}) {
        tile(kind, 1, 32, 5, 1);
        tile(kind, 37, 96, 7, 3);
        tile(kind, 128, 160, 24, 1);
        tile(kind, 130, 576, 48, 2);
        tile(kind, 300, 896, 33, 3);
        tile(kind, 64, 1056, 257, 2);
        tile(kind, 20, 4096, 65, 4);
        tile(kind, 40, 288, 9, 1, kind % 2 ? NAN : INFINITY);
    }
    list_of_rows();
}

template <typename A> static void expand(const Kernels<A> &kernels, Weights &w) {
    uint32_t first = w.rows / 3, rows = w.rows - first - w.rows / 4;
    std::vector<uint4> space(size_t(rows) * w.columns * sizeof(A) / 16);
    A *out = reinterpret_cast<A *>(space.data());
    emulated::launch((rows * w.columns / 8 + 255) / 256, 256, 0, kernels.expand[w.kind],
                     w.code_bytes(), w.high_bytes(), w.scale_bits(), w.factors.data(), out,
                     first, rows, w.columns);
    bool same = true;
    for (size_t i = 0; i < size_t(rows) * w.columns; i++) {
        float weight = float(w.dense[size_t(first) * w.columns + i]);
        same &= widen(out[i]) == widen(narrow<A>(weight));
    }
    check(same, "expand_%s_%s (%u, %u)", NAMES[w.kind], kernels.name, w.rows, w.columns);
}

static void gather_rows(Weights &w) {
    std::vector<uint32_t> ids = {w.rows - 1, 0, w.rows, 0xffffffff, w.rows / 2};
    std::vector<float> out(ids.size() * w.columns);
    emulated::launch(dim3(ids.size(), (w.columns + 1023) / 1024), 128, 0, GATHERS[w.kind],
                     w.code_bytes(), w.high_bytes(), w.scale_bits(), w.factors.data(),
                     ids.data(), out.data(), w.rows, w.columns, 2.5f);
    for (size_t i = 0; i < out.size(); i++) {
        uint32_t id = ids[i / w.columns];
        if (id >= w.rows) {
            check(out[i] != out[i], "gather_%s: no row", NAMES[w.kind]);
            continue;
        }
        float weight = float(w.dense[size_t(id) * w.columns + i % w.columns]);
        check(out[i] == weight * 2.5f, "gather_%s: %u", NAMES[w.kind], id);
    }
}

template <typename A> static void gather_table(const Kernels<A> &kernels, uint32_t columns) {
    const uint32_t rows = 5;
    std::vector<A> table(rows * columns);
    for (A &value : table) value = narrow<A>(float(random_number(-9, 9)));
    std::vector<uint32_t> ids = {4, 5, 0, 0xffffffff};
    std::vector<float> out(ids.size() * columns);
    emulated::launch(dim3(ids.size(), (columns + 1023) / 1024), 256, 0, kernels.gather,
                     table.data(), ids.data(), out.data(), rows, columns, 0.5f);
    for (size_t i = 0; i < out.size(); i++) {
        uint32_t id = ids[i / columns];
        float value = id < rows ? widen(table[id * columns + i % columns]) * 0.5f : NAN;
        bool same = value == value ? out[i] == value : out[i] != out[i];
        check(same, "gather_%s (%u, %u): %u", kernels.name, rows, columns, id);
    }
}

template <typename A> static void all(const Kernels<A> &kernels) {
    for (uint32_t columns : {32, 64, 576, 896, 4096}) {
        for (Kind kind : {FOUR, FIVE, SIX, EIGHT}) {
            for (uint32_t rows : {1, 3, 37}) {
                if (rows == 37 && columns == 4096) rows = 13;
                Weights w(kind, rows, columns);
                expand(kernels, w);
                if (sizeof(A) < 4) continue;
                for (uint32_t n = 1; n <= 4; n++)
                    for (uint32_t split : {1, 2, 4})
                        multiply(w, n, n % 3 ? 4 : 8, split);
                gather_rows(w);
            }
        }
    }
    Activations<A>(kernels, 9, 64, NAN);
    gather_table(kernels, 37);
    gather_table(kernels, 2049);
}

int main() {
    std::apply([](const auto &...kernels) { (all(kernels), ...); }, KERNELS_OF);
    Weights w(FIVE, 5, 64);
    multiply(w, 2, 4, 1, NAN);
    multiply(w, 3, 4, 2, -INFINITY);
    tiles();
    printf("%d of %d checks failed\n", failures, checks);
    return failures > 0;
}
