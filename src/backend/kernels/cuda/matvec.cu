// Dense matrices times a few rows: bound by reading the matrix once.

#include "common.cuh"

// 16 bytes of a matrix or of a row, as numbers.
template <typename T> struct Piece {
    static const int LEN = 16 / sizeof(T);
    T values[LEN];
};

template <typename T>
static __device__ __forceinline__ Piece<T> piece(const T *from) {
    Piece<T> p;
    *reinterpret_cast<uint4 *>(p.values) = *reinterpret_cast<const uint4 *>(from);
    return p;
}

// grid (ceil(outputs / 8)), block 256. y (N, outputs) with rows `y_stride`
// apart = x (N, inputs) times w (outputs, inputs) transposed. A warp has one
// output; inputs is a multiple of 8 (4 for f32), and rows begin at multiples
// of 16 bytes.
template <typename T, typename Y, int N>
static __device__ void matvec(const T *w, const T *x, Y *y, uint32_t outputs, uint32_t inputs,
                              uint32_t y_stride) {
    const int LEN = Piece<T>::LEN, AHEAD = 4;
    uint32_t output = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    uint32_t lane = threadIdx.x % WARP;
    if (output >= outputs) return;
    const T *row = w + (uint64_t)output * inputs;
    float sums[N];
    for (int n = 0; n < N; n++) sums[n] = 0.0f;
    uint32_t step = WARP * LEN, at = lane * LEN;
    // Several reads under way hide the time that each takes.
    for (; at + (AHEAD - 1) * step < inputs; at += AHEAD * step) {
        Piece<T> weights[AHEAD];
#pragma unroll
        for (int a = 0; a < AHEAD; a++) weights[a] = piece(row + at + a * step);
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
#pragma unroll
            for (int n = 0; n < N; n++) {
                Piece<T> values = piece(x + (uint64_t)n * inputs + at + a * step);
#pragma unroll
                for (int i = 0; i < LEN; i++)
                    sums[n] = fmaf(widen(weights[a].values[i]), widen(values.values[i]), sums[n]);
            }
        }
    }
    for (; at < inputs; at += step) {
        Piece<T> weights = piece(row + at);
#pragma unroll
        for (int n = 0; n < N; n++) {
            Piece<T> values = piece(x + (uint64_t)n * inputs + at);
#pragma unroll
            for (int i = 0; i < LEN; i++)
                sums[n] = fmaf(widen(weights.values[i]), widen(values.values[i]), sums[n]);
        }
    }
#pragma unroll
    for (int n = 0; n < N; n++) {
        float sum = warp_sum(sums[n]);
        if (lane == 0) y[(uint64_t)n * y_stride + output] = narrow<Y>(sum);
    }
}

#define MATVEC(name, T, y_name, Y, N)                                                      \
    extern "C" __global__ void matvec_##name##_##y_name##_##N(                             \
        const T *w, const T *x, Y *y, uint32_t outputs, uint32_t inputs,                   \
        uint32_t y_stride) {                                                               \
        matvec<T, Y, N>(w, x, y, outputs, inputs, y_stride);                               \
    }
#define MATVECS(name, T, y_name, Y)                                                        \
    MATVEC(name, T, y_name, Y, 1)                                                          \
    MATVEC(name, T, y_name, Y, 2) MATVEC(name, T, y_name, Y, 3) MATVEC(name, T, y_name, Y, 4)
MATVECS(f32, f32, f32, f32)
MATVECS(f16, f16, f16, f16)
MATVECS(f16, f16, f32, f32)
MATVECS(bf16, bf16, bf16, bf16)
MATVECS(bf16, bf16, f32, f32)
