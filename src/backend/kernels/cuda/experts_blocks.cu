// Products of few rows with quantized experts, in the layouts of blocks.cuh: the
// rows as bytes, as quantized.cu's `quantize_rows` makes them.

#include "blocks.cuh"
#include "experts.cuh"

// Outputs that a warp multiplies at a time: what is loaded of the rows is used
// for each of them.
#define OUTPUTS_OF_WARP 2

// Two outputs of N rows, by a warp. Rows from `rows` on repeat the first, and are
// not written. A row's sum is made in the same order for any N.
template <typename L, int N>
static __device__ __forceinline__ void few(const Matrix &m, const float *factors,
                                           const int8_t *q, const float2 *steps, float *y,
                                           const uint32_t *order, const Tile &tile,
                                           uint32_t output, uint32_t outputs,
                                           uint32_t chosen) {
    constexpr int OUT = OUTPUTS_OF_WARP;
    const uint32_t lane = threadIdx.x % WARP, own = tile.expert * outputs;
    const uint4 *x[N];
    const float2 *x_steps[N];
    float sums[N * OUT];
#pragma unroll
    for (int n = 0; n < N; n++) {
        const uint64_t row = row_of(order, chosen, tile.first + (n < tile.rows ? n : 0));
        x[n] = reinterpret_cast<const uint4 *>(q) + row * 2 * m.blocks;
        x_steps[n] = steps + row * m.blocks;
#pragma unroll
        for (int o = 0; o < OUT; o++) sums[n * OUT + o] = 0.0f;
    }
    // Two rounds of loads are on their way at a time.
#pragma unroll 2
    for (uint32_t b = lane; b < m.blocks; b += WARP) {
        Held held[OUT];
        int w[OUT][8];
#pragma unroll
        for (int o = 0; o < OUT; o++) {
            // Past the end the last output again, whose sums are not written.
            held[o] = L::load(m, own + min(output + o, outputs - 1), b);
        }
#pragma unroll
        for (int o = 0; o < OUT; o++) L::unpack(held[o], w[o]);
#pragma unroll
        for (int n = 0; n < N; n++) {
            const uint4 low = x[n][b], high = x[n][m.blocks + b];
            const float2 step = x_steps[n][b];
#pragma unroll
            for (int o = 0; o < OUT; o++) {
                float &sum = sums[n * OUT + o];
                sum = L::add(sum, w[o], held[o].scales, low, high, step);
            }
        }
    }
    warp_sums(sums);
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int o = 0; o < OUT; o++)
            if (lane == 0 && n < tile.rows && output + o < outputs)
                y[(uint64_t)(tile.first + n) * outputs + output + o] =
                    sums[n * OUT + o] * factors[own + output + o];
}

// grid (ceil(outputs / 16), entries), block 256. The matrix is (experts * outputs,
// columns), tiles are of at most N slots, y is (slots, outputs).
template <typename L, int N>
static __device__ __forceinline__ void experts_few(const Matrix &m, const float *factors,
                                                   const int8_t *q, const float2 *steps,
                                                   float *y, const uint32_t *order,
                                                   const uint32_t *starts,
                                                   const uint32_t *tiles, uint32_t outputs,
                                                   uint32_t chosen) {
    Tile tile;
    if (!find_tile(tiles, starts, blockIdx.y, N, tile)) return;
    const uint32_t warp = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    const uint32_t output = warp * OUTPUTS_OF_WARP;
    if (output >= outputs) return;
    if (N > 1 && tile.rows == 1)
        few<L, 1>(m, factors, q, steps, y, order, tile, output, outputs, chosen);
    else if (N > 2 && tile.rows == 2)
        few<L, 2>(m, factors, q, steps, y, order, tile, output, outputs, chosen);
    else few<L, N>(m, factors, q, steps, y, order, tile, output, outputs, chosen);
}

#define FEW(layout, Layout, N)                                                             \
    extern "C" __global__ void __launch_bounds__(256)                                  \
        experts_##layout##_##N(                                                            \
        const uint8_t *__restrict__ codes, const uint8_t *__restrict__ high,               \
        const uint16_t *__restrict__ scales, const float *__restrict__ factors,            \
        const int8_t *__restrict__ q, const float2 *__restrict__ steps,                    \
        float *__restrict__ y, const uint32_t *__restrict__ order,                         \
        const uint32_t *__restrict__ starts, const uint32_t *__restrict__ tiles,           \
        uint32_t outputs, uint32_t columns, uint32_t chosen) {                             \
        experts_few<Layout, N>({codes, high, scales, columns / BLOCK}, factors, q, steps,  \
                               y, order, starts, tiles, outputs, chosen);                  \
    }
#define OF_LAYOUT(layout, Layout)                                                          \
    FEW(layout, Layout, 1) FEW(layout, Layout, 2) FEW(layout, Layout, 4)
FOR_EACH_LAYOUT(OF_LAYOUT)
