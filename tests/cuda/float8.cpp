// Kernels of eight-bit floats, held to double loops over random matrices.
//
//     g++ -std=c++20 -O2 -march=x86-64-v3 -fno-strict-aliasing -DDRAGOMAN_EMULATED \
//         -Itests/cuda tests/cuda/float8.cpp tests/cuda/emulate.cpp -o float8 && ./float8
#include "check.h"

#include "../../src/backend/kernels/cuda/float8.cu"

#include <cmath>
#include <vector>

// What a code stands for, by the format's definition.
static double value(uint8_t code) {
    int exponent = code >> 3 & 15, mantissa = code & 7;
    double size = exponent ? std::ldexp(8 + mantissa, exponent - 10) : std::ldexp(mantissa, -9);
    return code & 0x80 ? -size : size;
}

struct Weights {
    uint32_t outputs, columns, group, groups;
    std::vector<uint4> storage;
    std::vector<float> scales;

    uint8_t *codes() { return reinterpret_cast<uint8_t *>(storage.data()); }

    Weights(uint32_t outputs, uint32_t columns, uint32_t group)
        : outputs(outputs), columns(columns), group(group),
          groups((columns + group - 1) / group), storage(size_t(outputs) * columns / 16),
          scales(size_t(outputs) * groups) {
        for (size_t i = 0; i < size_t(outputs) * columns; i++) {
            do codes()[i] = generator() >> 8;
            while ((codes()[i] & 0x7f) == 0x7f);
        }
        for (float &scale : scales) scale = std::ldexp(random_number(1, 2), int(random_number(-12, 3)));
    }

    double at(uint32_t r, uint32_t c) {
        return value(codes()[size_t(r) * columns + c]) * scales[size_t(r) * groups + c / group];
    }
};

static void all_codes() {
    for (uint32_t code = 0; code < 256; code++) {
        if ((code & 0x7f) == 0x7f) continue;
        uint32_t low, high;
        widen_codes(code | (code ^ 0x80) << 8 | 0x38u << 16 | code << 24, low, high);
        check(half_of(low, 0) == value(code) && half_of(low, 1) == -value(code), "code %02x", code);
        check(half_of(high, 0) == 1.0f && half_of(high, 1) == value(code), "code %02x", code);
    }
}

template <typename Y> static auto kernel(uint32_t tiles) {
    if constexpr (std::is_same_v<Y, float>)
        return tiles == 1 ? float8_f32_1 : tiles == 2 ? float8_f32_2 : float8_f32_4;
    else return tiles == 1 ? float8_bf16_1 : tiles == 2 ? float8_bf16_2 : float8_bf16_4;
}

template <typename Y>
static void product(Weights &w, uint32_t rows, uint32_t tiles, uint32_t split) {
    uint32_t stride = w.outputs + 3;
    std::vector<uint4> storage(size_t(rows) * w.columns / 8);
    bf16 *x = reinterpret_cast<bf16 *>(storage.data());
    for (size_t i = 0; i < size_t(rows) * w.columns; i++) x[i] = narrow<bf16>(random_number(-2, 2));
    std::vector<Y> y(size_t(rows - 1) * stride + w.outputs + 1, narrow<Y>(7.0f));
    uint32_t per_block = 16 * WARPS / split;
    emulated::launch((w.outputs + per_block - 1) / per_block, 32 * WARPS, 0, kernel<Y>(tiles),
                     w.codes(), w.scales.data(), x, y.data(), w.outputs, w.columns, w.group, rows,
                     stride, split);
    for (uint32_t n = 0; n < rows; n++)
        for (uint32_t r = 0; r < w.outputs; r++) {
            double sum = 0, size = 0;
            for (uint32_t c = 0; c < w.columns; c++) {
                double term = w.at(r, c) * widen(x[size_t(n) * w.columns + c]);
                sum += term;
                size += std::fabs(term);
            }
            double found = widen(y[size_t(n) * stride + r]);
            double allowed = 1e-6 * size + (sizeof(Y) == 2 ? std::fabs(sum) / 256 : 0);
            check(std::fabs(found - sum) <= allowed,
                  "%u x %u by %u, %u rows, tiles %u, split %u: (%u, %u) is %g, not %g", w.outputs,
                  w.columns, w.group, rows, tiles, split, n, r, found, sum);
        }
    for (uint32_t n = 0; n + 1 < rows; n++)
        for (uint32_t r = w.outputs; r < stride; r++)
            check(widen(y[size_t(n) * stride + r]) == 7.0f, "between rows");
    check(widen(y.back()) == 7.0f, "past the end");
}

static void rows_as_numbers(Weights &w) {
    uint32_t first = w.outputs / 3, rows = w.outputs - first;
    std::vector<uint4> storage(size_t(rows) * w.columns / 8 + 1);
    bf16 *out = reinterpret_cast<bf16 *>(storage.data());
    emulated::launch((rows * w.columns / 8 + 255) / 256, 256, 0, expand_float8_bf16, w.codes(),
                     w.scales.data(), out, first, rows, w.columns, w.group);
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < w.columns; c++) {
            float expected = widen(narrow<bf16>(float(w.at(first + r, c))));
            check(widen(out[size_t(r) * w.columns + c]) == expected, "expanded (%u, %u)", r, c);
        }
    std::vector<uint32_t> ids = {w.outputs - 1, 0, w.outputs, 0xffffffffu, w.outputs / 2};
    std::vector<float> looked(ids.size() * w.columns, 7.0f);
    dim3 grid(ids.size(), (w.columns + 1023) / 1024);
    emulated::launch(grid, 256, 0, gather_float8, w.codes(), w.scales.data(), ids.data(),
                     looked.data(), w.outputs, w.columns, w.group, 3.0f);
    for (size_t i = 0; i < ids.size(); i++)
        for (uint32_t c = 0; c < w.columns; c++) {
            float found = looked[i * w.columns + c];
            if (ids[i] >= w.outputs) check(std::isnan(found), "an id that is no row: %g", found);
            else check(std::fabs(found - 3 * w.at(ids[i], c)) <= 1e-6 * std::fabs(found),
                       "row %u, %u: %g, not %g", ids[i], c, found, 3 * w.at(ids[i], c));
        }
}

int main() {
    all_codes();
    for (auto [outputs, columns, group] : std::vector<std::array<uint32_t, 3>>{
             {1, 16, 16}, {16, 128, 128}, {40, 160, 128}, {23, 48, 48}, {129, 384, 256},
             {33, 1040, 128}, {17, 1040, 1040}, {300, 256, 128}}) {
        Weights w(outputs, columns, group);
        rows_as_numbers(w);
        for (uint32_t split : {1, 2, 4, 8})
            for (uint32_t rows : {1, 2, 7, 8, 9, 16, 17, 31, 32}) {
                uint32_t tiles = rows <= 8 ? 1 : rows <= 16 ? 2 : 4;
                product<float>(w, rows, tiles, split);
                if (rows % 8 == 1) product<bf16>(w, rows, tiles, split);
            }
        // A row that is broken is so as a whole, and no other is.
        w.scales[size_t(outputs / 2) * w.groups] = NAN;
        std::vector<uint4> x(columns / 8);
        std::vector<float> y(outputs);
        emulated::launch((outputs + 127) / 128, 256, 0, float8_f32_1, w.codes(), w.scales.data(),
                         reinterpret_cast<bf16 *>(x.data()), y.data(), outputs, columns, group, 1,
                         outputs, 1);
        for (uint32_t r = 0; r < outputs; r++)
            check(std::isnan(y[r]) == (r == outputs / 2), "NaN in row %u: %g", r, y[r]);
    }
    printf("%d checks, %d failures\n", checks, failures);
    return failures > 0;
}
