// Products of experts with dense weights of 16 bits on tensor cores.

#include "experts_mma.cuh"

using namespace experts;

#define MMA(name, T, y_name, Y, ROWS, BLOCKS)                                              \
    extern "C" __global__ void __launch_bounds__(MMA_THREADS, BLOCKS)                      \
        experts_mma_##name##_##y_name##_##ROWS(                                            \
            const T *__restrict__ w, const T *__restrict__ x, Y *__restrict__ y,           \
            const uint32_t *__restrict__ order, const uint32_t *__restrict__ starts,       \
            const uint32_t *__restrict__ tiles, uint32_t outputs, uint32_t inputs,         \
            uint32_t chosen) {                                                             \
        experts_mma<Dense<T>, Y, ROWS>(w, x, y, order, starts, tiles, outputs, inputs,     \
                                       chosen);                                            \
    }
#define OF_TYPES(name, T, y_name, Y)                                                       \
    MMA(name, T, y_name, Y, 16, 4) MMA(name, T, y_name, Y, 64, 3)
OF_TYPES(f16, f16, f16, f16)
OF_TYPES(f16, f16, f32, f32)
OF_TYPES(bf16, bf16, bf16, bf16)
OF_TYPES(bf16, bf16, f32, f32)
