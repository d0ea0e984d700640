// Kernels of quantized weights, held to double loops over random matrices.
#include "../../src/backend/kernels/cuda/quantized.cu"

#include <cmath>
#include <cstdarg>
#include <random>
#include <tuple>
#include <vector>

static std::mt19937 generator(1);
static int failures = 0, checks = 0;

static double random_number(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(generator);
}

__attribute__((format(printf, 2, 3))) static void check(bool holds, const char *format, ...) {
    checks++;
    if (holds || ++failures > 20) return;
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

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
        scales.resize(kind == EIGHT ? (blocks + 1) / 2 : blocks);
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

template <typename A>
using MatVec = void (*)(const uint8_t *, const uint8_t *, const uint16_t *, const float *,
                        const int8_t *, const float2 *, const float *, A *, uint32_t, uint32_t,
                        uint32_t, uint32_t);
template <typename A>
using Expand = void (*)(const uint8_t *, const uint8_t *, const uint16_t *, const float *, A *,
                        uint32_t, uint32_t, uint32_t);
typedef void (*Gather)(const uint8_t *, const uint8_t *, const uint16_t *, const float *,
                       const uint32_t *, float *, uint32_t, uint32_t, float);
template <typename A> struct Kernels {
    const char *name;
    // Half a unit in the last place of a number near 1.
    double rounding;
    MatVec<A> matvec[4][8];
    Expand<A> expand[4];
    void (*quantize)(const A *, int8_t *, float2 *, uint32_t, uint32_t);
    void (*gather)(const A *, const uint32_t *, float *, uint32_t, uint32_t, float);
};
#define OF_N(layout, type)                                                                 \
    {matvec_##layout##_##type##_1, matvec_##layout##_##type##_2,                           \
     matvec_##layout##_##type##_3, matvec_##layout##_##type##_4,                           \
     matvec_##layout##_##type##_5, matvec_##layout##_##type##_6,                           \
     matvec_##layout##_##type##_7, matvec_##layout##_##type##_8}
#define KERNELS(type, rounding)                                                            \
    {#type, rounding,                                                                      \
     {OF_N(four, type), OF_N(five, type), OF_N(six, type), OF_N(eight, type)},             \
     {expand_four_##type, expand_five_##type, expand_six_##type, expand_eight_##type},     \
     quantize_rows_##type, gather_##type}
static const std::tuple<Kernels<f32>, Kernels<f16>, Kernels<bf16>> KERNELS_OF = {
    KERNELS(f32, 0x1p-24), KERNELS(f16, 0x1p-11), KERNELS(bf16, 0x1p-8)};
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

template <typename A>
static void multiply(const Kernels<A> &kernels, Weights &w, uint32_t n, uint32_t warps,
                     uint32_t split, double spoilt = 0) {
    Activations<A> x(kernels, n, w.columns, spoilt);
    std::vector<float> bias(w.rows);
    for (float &value : bias) value = float(random_number(-5, 5));
    const float *given = n % 2 ? bias.data() : nullptr;
    uint32_t stride = w.rows + 3, rows = ROWS_OF_WARP(n) * warps / split;
    std::vector<A> y(size_t(n) * stride, narrow<A>(-77));
    emulated::launch((w.rows + rows - 1) / rows, 32 * warps, 0, kernels.matvec[w.kind][n - 1],
                     w.code_bytes(), w.high_bytes(), w.scale_bits(), w.factors.data(),
                     reinterpret_cast<const int8_t *>(x.q.data()), x.steps.data(), given,
                     y.data(), w.rows, w.columns, stride, split);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t r = 0; r < stride; r++) {
            float value = widen(y[size_t(i) * stride + r]);
            if (r >= w.rows) {
                check(value == -77, "matvec writes between rows");
                continue;
            }
            if (spoilt != 0 && i == 0) {
                check(value != value, "%s: %g is lost", kernels.name, spoilt);
                continue;
            }
            double sum = given ? bias[r] : 0, size = std::fabs(sum);
            const double *weights = &w.dense[size_t(r) * w.columns];
            const double *values = &x.values[size_t(i) * w.columns];
            for (uint32_t c = 0; c < w.columns; c++) {
                double term = weights[c] * values[c];
                sum += term;
                size += std::fabs(term);
            }
            double allowed = size * 2e-6 + std::fabs(sum) * kernels.rounding * 1.01;
            check(std::fabs(value - sum) <= allowed,
                  "matvec_%s_%s_%u (%u, %u) split %u of %u: %u is %g, not %g", NAMES[w.kind],
                  kernels.name, n, w.rows, w.columns, split, warps, r, value, sum);
        }
    }
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
                for (uint32_t n = 1; n <= 8; n++)
                    multiply(kernels, w, n, n % 3 ? 4 : 8, 1 << (n + rows) % 3);
                expand(kernels, w);
                if (sizeof(A) == 4) gather_rows(w);
            }
        }
    }
    Weights w(FIVE, 5, 64);
    multiply(kernels, w, 2, 4, 1, NAN);
    multiply(kernels, w, 3, 4, 2, -INFINITY);
    gather_table(kernels, 37);
    gather_table(kernels, 2049);
}

int main() {
    std::apply([](const auto &...kernels) { (all(kernels), ...); }, KERNELS_OF);
    printf("%d of %d checks failed\n", failures, checks);
    return failures > 0;
}
