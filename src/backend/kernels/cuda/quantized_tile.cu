// Products of quantized weights with some rows on tensor cores.
//
// y (rows, outputs) f32, its rows `y_stride` apart = activations, as quantize_rows of
// quantized.cu makes them, times the matrix (outputs, columns) transposed.
//
// grid (ceil(rows / N), ceil(outputs / 128), chains), block 256. A chain is `chain`
// units of 128 columns, and none is empty. If there are several, `parts` has room for
// 128 N numbers of each block, and `done` is as many numbers as the grid has blocks for
// each chain, all 0 before and after.

#include "quantized_tile.cuh"

template <typename L, int N>
static __device__ __forceinline__ void quantized_tile(const Matrix m, const float *factors,
                                                      const QuantizedRows x, float *y,
                                                      float4 *parts, uint32_t *done,
                                                      uint32_t outputs, uint32_t y_stride,
                                                      uint32_t chain) {
    typedef QuantizedTile<L, N> Tile;
    DYNAMIC_SHARED(unsigned char, shared);
    const uint32_t row = blockIdx.x * N, output = blockIdx.y * TILE_OUTPUTS;
    const uint32_t begin = blockIdx.z * chain;
    const uint32_t end = min((m.blocks + UNIT - 1) / UNIT, begin + chain);
    typename Tile::Sums sums;
    Tile::run(sums, shared, m, output, outputs, x, row, begin, end);
    if (gridDim.z > 1) {
        const uint32_t tile = blockIdx.y * gridDim.x + blockIdx.x;
        parts += (uint64_t)tile * gridDim.z * (TILE_OUTPUTS * N / 4);
        if (!Tile::join(sums, parts, done + tile)) return;
    }
    Tile::each(sums, output, outputs, row, x.rows, [&](uint32_t r, uint32_t o, float sum) {
        y[(uint64_t)r * y_stride + o] = sum * factors[o];
    });
}

#define TILE(layout, Layout, n)                                                            \
    extern "C" __global__ void __launch_bounds__(TILE_THREADS, 2)                          \
        quantized_tile_##layout##_##n(                                                     \
            const uint8_t *__restrict__ codes, const uint8_t *__restrict__ high,           \
            const uint16_t *__restrict__ scales, const float *__restrict__ factors,        \
            const int8_t *__restrict__ q, const float2 *__restrict__ steps,                \
            float *__restrict__ y, float4 *parts, uint32_t *done, uint32_t outputs,        \
            uint32_t columns, uint32_t rows, uint32_t y_stride, uint32_t chain) {          \
        quantized_tile<Layout, n>({codes, high, scales, columns / BLOCK}, factors,         \
                                  {q, steps, nullptr, rows}, y, parts, done, outputs,      \
                                  y_stride, chain);                                        \
    }
#define TILES(layout, Layout)                                                              \
    TILE(layout, Layout, 8) TILE(layout, Layout, 16)                                       \
    TILE(layout, Layout, 32) TILE(layout, Layout, 64)
FOR_EACH_LAYOUT(TILES)
