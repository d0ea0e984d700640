// Products of experts with dense weights: of few rows, bound by reading each
// chosen expert once; and a plain version for rows of f32 or of odd widths.
//
// `w` (experts * outputs, inputs) has the matrices of all experts, x rows of
// `inputs`; y (slots, outputs). See experts.cuh for the rest.

#include "experts.cuh"

template <typename T> struct Piece {
    static const int LEN = 16 / sizeof(T);
    T values[LEN];
};

// 16 bytes; zeros where not `there`.
template <typename T>
static __device__ __forceinline__ Piece<T> piece(const T *from, bool there) {
    Piece<T> p;
    uint4 words = make_uint4(0, 0, 0, 0);
    if (there) words = *reinterpret_cast<const uint4 *>(from);
    *reinterpret_cast<uint4 *>(p.values) = words;
    return p;
}

// One output of N rows, by a warp. Rows from `rows` on repeat the first, and are
// not written. A row's sum is made in the same order for any N.
template <typename T, typename Y, int N>
static __device__ __forceinline__ void few(const T *w, const T *x, Y *y, const uint32_t *order,
                                           const Tile &tile, uint32_t output, uint32_t outputs,
                                           uint32_t inputs, uint32_t chosen) {
    const int LEN = Piece<T>::LEN, AHEAD = 4;
    const uint32_t lane = threadIdx.x % WARP;
    const T *weights = w + ((uint64_t)tile.expert * outputs + output) * inputs;
    const T *rows[N];
    float sums[N];
#pragma unroll
    for (int n = 0; n < N; n++) {
        const uint32_t slot = tile.first + (n < tile.rows ? n : 0);
        rows[n] = x + (uint64_t)row_of(order, chosen, slot) * inputs;
        sums[n] = 0.0f;
    }
    // Several reads under way hide the time that each takes.
    for (uint32_t from = lane * LEN; from < inputs; from += AHEAD * WARP * LEN) {
        Piece<T> read[AHEAD];
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
            const uint32_t at = from + a * WARP * LEN;
            read[a] = piece(weights + at, at < inputs);
        }
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
            const uint32_t at = from + a * WARP * LEN;
            if (at >= inputs) break;
#pragma unroll
            for (int n = 0; n < N; n++) {
                const Piece<T> values = piece(rows[n] + at, true);
#pragma unroll
                for (int i = 0; i < LEN; i++)
                    sums[n] = fmaf(widen(read[a].values[i]), widen(values.values[i]), sums[n]);
            }
        }
    }
    warp_sums(sums);
#pragma unroll
    for (int n = 0; n < N; n++)
        if (lane == 0 && n < tile.rows)
            y[(uint64_t)(tile.first + n) * outputs + output] = narrow<Y>(sums[n]);
}

// grid (ceil(outputs / 8), entries), block 256: a warp has an output. Tiles are of
// at most N slots; inputs is a multiple of 8 (4 for f32), and rows begin at
// multiples of 16 bytes.
template <typename T, typename Y, int N>
static __device__ __forceinline__ void experts_few(const T *w, const T *x, Y *y,
                                                   const uint32_t *order, const uint32_t *starts,
                                                   const uint32_t *tiles, uint32_t outputs,
                                                   uint32_t inputs, uint32_t chosen) {
    Tile tile;
    if (!find_tile(tiles, starts, blockIdx.y, N, tile)) return;
    const uint32_t output = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (output >= outputs) return;
    if (N > 1 && tile.rows == 1)
        few<T, Y, 1>(w, x, y, order, tile, output, outputs, inputs, chosen);
    else if (N > 2 && tile.rows == 2)
        few<T, Y, 2>(w, x, y, order, tile, output, outputs, inputs, chosen);
    else few<T, Y, N>(w, x, y, order, tile, output, outputs, inputs, chosen);
}

#define PLAIN_ROWS 16
#define PLAIN_OUTPUTS 64
#define PLAIN_INPUTS 32

// grid (ceil(outputs / 64), entries), block 256: 16 rows at a time; a thread has
// one of them and four outputs. Tiles are of `most` slots, rows of any length.
template <typename T, typename Y>
static __device__ void experts_plain(const T *w, const T *x, Y *y, const uint32_t *order,
                                     const uint32_t *starts, const uint32_t *tiles,
                                     uint32_t outputs, uint32_t inputs, uint32_t chosen,
                                     uint32_t most) {
    __shared__ float some[PLAIN_ROWS][PLAIN_INPUTS];
    // One more, so that threads side by side read from different banks.
    __shared__ float weights[PLAIN_OUTPUTS][PLAIN_INPUTS + 1];
    Tile tile;
    if (!find_tile(tiles, starts, blockIdx.y, most, tile)) return;
    const uint32_t first_output = blockIdx.x * PLAIN_OUTPUTS;
    const T *own = w + (uint64_t)tile.expert * outputs * inputs;
    const uint32_t row = threadIdx.x / 16, column = threadIdx.x % 16;
    for (uint32_t r0 = 0; r0 < tile.rows; r0 += PLAIN_ROWS) {
        float sums[4] = {};
        for (uint32_t k0 = 0; k0 < inputs; k0 += PLAIN_INPUTS) {
            __syncthreads();
            for (uint32_t i = threadIdx.x; i < PLAIN_ROWS * PLAIN_INPUTS; i += blockDim.x) {
                const uint32_t r = i / PLAIN_INPUTS, k = i % PLAIN_INPUTS;
                const bool there = r0 + r < tile.rows && k0 + k < inputs;
                float value = 0.0f;
                if (there) {
                    const uint64_t from = row_of(order, chosen, tile.first + r0 + r);
                    value = widen(x[from * inputs + k0 + k]);
                }
                some[r][k] = value;
            }
            for (uint32_t i = threadIdx.x; i < PLAIN_OUTPUTS * PLAIN_INPUTS; i += blockDim.x) {
                const uint32_t o = i / PLAIN_INPUTS, k = i % PLAIN_INPUTS;
                const bool there = first_output + o < outputs && k0 + k < inputs;
                weights[o][k] =
                    there ? widen(own[(uint64_t)(first_output + o) * inputs + k0 + k]) : 0.0f;
            }
            __syncthreads();
            for (int k = 0; k < PLAIN_INPUTS; k++)
#pragma unroll
                for (int o = 0; o < 4; o++)
                    sums[o] = fmaf(some[row][k], weights[column + 16 * o][k], sums[o]);
        }
        for (uint32_t o = 0; o < 4; o++) {
            const uint32_t output = first_output + column + 16 * o;
            if (r0 + row < tile.rows && output < outputs)
                y[(uint64_t)(tile.first + r0 + row) * outputs + output] = narrow<Y>(sums[o]);
        }
    }
}

#define FEW(name, T, y_name, Y, N)                                                         \
    extern "C" __global__ void __launch_bounds__(256, N > 2 ? 3 : 4)                   \
        experts_##name##_##y_name##_##N(                                                   \
        const T *__restrict__ w, const T *__restrict__ x, Y *__restrict__ y,               \
        const uint32_t *__restrict__ order, const uint32_t *__restrict__ starts,           \
        const uint32_t *__restrict__ tiles, uint32_t outputs, uint32_t inputs,             \
        uint32_t chosen) {                                                                 \
        experts_few<T, Y, N>(w, x, y, order, starts, tiles, outputs, inputs, chosen);      \
    }
#define PLAIN(name, T, y_name, Y)                                                          \
    extern "C" __global__ void experts_plain_##name##_##y_name(                            \
        const T *__restrict__ w, const T *__restrict__ x, Y *__restrict__ y,               \
        const uint32_t *__restrict__ order, const uint32_t *__restrict__ starts,           \
        const uint32_t *__restrict__ tiles, uint32_t outputs, uint32_t inputs,             \
        uint32_t chosen, uint32_t most) {                                                  \
        experts_plain<T, Y>(w, x, y, order, starts, tiles, outputs, inputs, chosen, most); \
    }
#define OF_TYPES(name, T, y_name, Y)                                                       \
    FEW(name, T, y_name, Y, 1) FEW(name, T, y_name, Y, 2) FEW(name, T, y_name, Y, 4)       \
    PLAIN(name, T, y_name, Y)
OF_TYPES(f32, f32, f32, f32)
OF_TYPES(f16, f16, f16, f16)
OF_TYPES(f16, f16, f32, f32)
OF_TYPES(bf16, bf16, bf16, bf16)
OF_TYPES(bf16, bf16, f32, f32)
