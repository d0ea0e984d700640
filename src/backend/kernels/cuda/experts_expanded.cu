// Products of experts with quantized weights on tensor cores: of rows in bf16,
// the results in f32.

#include "experts_mma.cuh"

using namespace experts;

#define MMA(layout, Layout, ROWS, BLOCKS)                                                  \
    extern "C" __global__ void __launch_bounds__(MMA_THREADS, BLOCKS)                      \
        experts_mma_##layout##_f32_##ROWS(                                                 \
            const uint8_t *__restrict__ codes, const uint8_t *__restrict__ high,           \
            const uint16_t *__restrict__ scales, const float *__restrict__ factors,        \
            const bf16 *__restrict__ x, float *__restrict__ y,                             \
            const uint32_t *__restrict__ order, const uint32_t *__restrict__ starts,       \
            const uint32_t *__restrict__ tiles, uint32_t outputs, uint32_t inputs,         \
            uint32_t chosen) {                                                             \
        experts_mma<Expanded<Layout>, float, ROWS>(                                        \
            {{codes, high, scales, inputs / BLOCK}, factors}, x, y, order, starts, tiles,  \
            outputs, inputs, chosen);                                                      \
    }
#define OF_LAYOUT(layout, Layout) MMA(layout, Layout, 16, 4) MMA(layout, Layout, 64, 3)
FOR_EACH_LAYOUT(OF_LAYOUT)
