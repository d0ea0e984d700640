// Products of matrices on the CPU, put on a stream of the driver: what stands in
// for cuBLAS and for cuBLASLt is made of them.
#pragma once
#include "../emulated/vectors.cuh"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <math.h>
#include <type_traits>
#include <vector>

#include "../emulated/numbers.cuh"

#define EXPORT extern "C" __attribute__((visibility("default")))

extern "C" int dragoman_enqueue(void *stream, const std::function<void()> *work);
extern "C" int dragoman_on_device(const void *at, size_t bytes);

namespace {

enum Status { SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };

// cudaDataType_t.
enum Type { F32 = 0, F64 = 1, F16 = 2, I8 = 3, I32 = 10, BF16 = 14 };

size_t size_of(int type) {
    switch (type) {
    case F32: case I32: return 4;
    case F64: return 8;
    case F16: case BF16: return 2;
    case I8: return 1;
    default: return 0;
    }
}

template <typename S> S load(const void *from, int type, size_t at) {
    switch (type) {
    case F32: return S(static_cast<const float *>(from)[at]);
    case F64: return S(static_cast<const double *>(from)[at]);
    case F16: return S(emulated::from_half(static_cast<const uint16_t *>(from)[at]));
    case BF16: return S(emulated::from_bfloat(static_cast<const uint16_t *>(from)[at]));
    case I8: return S(static_cast<const int8_t *>(from)[at]);
    default: return S(static_cast<const int32_t *>(from)[at]);
    }
}

template <typename S> void store(void *to, int type, size_t at, S value) {
    switch (type) {
    case F32: static_cast<float *>(to)[at] = float(value); break;
    case F64: static_cast<double *>(to)[at] = double(value); break;
    case F16: static_cast<uint16_t *>(to)[at] = emulated::to_half(value); break;
    case BF16: static_cast<uint16_t *>(to)[at] = emulated::to_bfloat(value); break;
    case I8: static_cast<int8_t *>(to)[at] = int8_t(value); break;
    default: static_cast<int32_t *>(to)[at] = int32_t(value);
    }
}

struct Matrix {
    const void *data;
    int type;
    int leading;
    long long stride;
};

// C = alpha * op(A) * op(B) + beta * C, all by columns, `batch` times.
struct Product {
    bool a_turned, b_turned;
    int m, n, k;
    double alpha, beta;
    Matrix a, b, c;
    int batch;
    // Sums in double: for f64, and for i8 with sums in i32.
    bool wide;
};

constexpr int TILE = 4;

// Rows of `k` numbers, each `padded` long; what is past the end is zero.
template <typename S>
std::vector<S> pack(const Matrix &from, long long begin, bool along, int rows, int k,
                    int padded) {
    std::vector<S> packed(size_t((rows + TILE - 1) / TILE * TILE) * padded + 64, S(0));
    auto data = static_cast<const char *>(from.data) + begin * (long long)(size_of(from.type));
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < k; i++) {
            size_t at = along ? size_t(row) * from.leading + i : size_t(i) * from.leading + row;
            packed[size_t(row) * padded + i] = load<S>(data, from.type, at);
        }
    return packed;
}

template <typename S> void multiply(const Product &p) {
    constexpr int LANES = 32 / sizeof(S);
    typedef S Vector __attribute__((vector_size(32), aligned(sizeof(S)), may_alias));
    int padded = (p.k + LANES - 1) / LANES * LANES;
    for (int item = 0; item < p.batch; item++) {
        auto a = pack<S>(p.a, p.a.stride * item, p.a_turned, p.m, p.k, padded);
        auto b = pack<S>(p.b, p.b.stride * item, !p.b_turned, p.n, p.k, padded);
        char *c = static_cast<char *>(const_cast<void *>(p.c.data)) +
                  p.c.stride * item * (long long)(size_of(p.c.type));
        for (int column = 0; column < p.n; column += TILE)
            for (int row = 0; row < p.m; row += TILE) {
                Vector sums[TILE][TILE] = {};
                const S *left = &a[size_t(row) * padded], *right = &b[size_t(column) * padded];
                for (int i = 0; i < padded; i += LANES)
                    for (int y = 0; y < TILE; y++) {
                        Vector along = *reinterpret_cast<const Vector *>(left + y * padded + i);
                        for (int x = 0; x < TILE; x++)
                            sums[y][x] += along * *reinterpret_cast<const Vector *>(
                                                      right + x * padded + i);
                    }
                for (int y = 0; y < TILE && row + y < p.m; y++)
                    for (int x = 0; x < TILE && column + x < p.n; x++) {
                        S sum = 0;
                        for (int lane = 0; lane < LANES; lane++) sum += sums[y][x][lane];
                        size_t at = size_t(column + x) * p.c.leading + row + y;
                        S result = S(p.alpha) * sum;
                        if (p.beta != 0) result += S(p.beta) * load<S>(c, p.c.type, at);
                        store<S>(c, p.c.type, at, result);
                    }
            }
    }
}

void check(const char *name, const Matrix &matrix, int rows, int columns, int batch) {
    if (!rows || !columns) return;
    size_t item = size_t(columns - 1) * matrix.leading + rows;
    long long last = matrix.stride * (batch - 1);
    if (dragoman_on_device(matrix.data, (item + (last > 0 ? last : 0)) * size_of(matrix.type)))
        return;
    fprintf(stderr, "emulated cuBLAS: %s (%d x %d, leading %d, stride %lld, batch %d) at %p is "
                    "outside device memory\n", name, rows, columns, matrix.leading,
            matrix.stride, batch, matrix.data);
    abort();
}

Status enqueue(void *stream, const Product &p) {
    if (p.m < 0 || p.n < 0 || p.k < 0 || p.batch < 0) return INVALID_VALUE;
    int a_rows = p.a_turned ? p.k : p.m, b_rows = p.b_turned ? p.n : p.k;
    auto room = [](const Matrix &x, int rows) { return x.leading >= (rows > 1 ? rows : 1); };
    if (!room(p.a, a_rows) || !room(p.b, b_rows) || !room(p.c, p.m)) return INVALID_VALUE;
    if (!size_of(p.a.type) || !size_of(p.b.type) || !size_of(p.c.type)) return NOT_SUPPORTED;
    if (!p.m || !p.n || !p.batch) return SUCCESS;
    std::function<void()> work = [p, a_rows, b_rows] {
        check("A", p.a, a_rows, p.a_turned ? p.m : p.k, p.batch);
        check("B", p.b, b_rows, p.b_turned ? p.k : p.n, p.batch);
        check("C", p.c, p.m, p.n, p.batch);
        if (p.wide) multiply<double>(p);
        else multiply<float>(p);
    };
    return dragoman_enqueue(stream, &work) ? EXECUTION_FAILED : SUCCESS;
}

} // namespace
