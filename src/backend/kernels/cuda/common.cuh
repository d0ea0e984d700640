// What all kernels share: types of numbers, reductions, and the words of CUDA
// that differ where the kernels run without a GPU (see tests/cuda).
#pragma once

#include <stdint.h>

#ifdef DRAGOMAN_EMULATED
#include "emulate.cuh"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

typedef __half f16;
typedef __nv_bfloat16 bf16;
typedef float f32;

#define WARP 32
#define ALL_LANES 0xffffffffu

static __device__ __forceinline__ float widen(float x) { return x; }
static __device__ __forceinline__ float widen(f16 x) { return __half2float(x); }
static __device__ __forceinline__ float widen(bf16 x) { return __bfloat162float(x); }

// Rounds to T. What f16 cannot hold becomes its largest number; NaN stays.
template <typename T> static __device__ __forceinline__ T narrow(float x);
template <> __device__ __forceinline__ float narrow<float>(float x) { return x; }
template <> __device__ __forceinline__ f16 narrow<f16>(float x) {
    return __float2half_rn(x != x ? x : fminf(fmaxf(x, -65504.0f), 65504.0f));
}
template <> __device__ __forceinline__ bf16 narrow<bf16>(float x) {
    return __float2bfloat16_rn(x);
}

static __device__ __forceinline__ float warp_sum(float x) {
    for (int apart = WARP / 2; apart > 0; apart /= 2) x += __shfl_xor_sync(ALL_LANES, x, apart);
    return x;
}

static __device__ __forceinline__ float warp_max(float x) {
    for (int apart = WARP / 2; apart > 0; apart /= 2)
        x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, apart));
    return x;
}

// The sum over a block of whole warps; all threads get it. `scratch` has room
// for 32 numbers.
static __device__ __forceinline__ float block_sum(float x, float *scratch) {
    int warps = blockDim.x / WARP, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    x = warp_sum(x);
    __syncthreads();
    if (lane == 0) scratch[warp] = x;
    __syncthreads();
    return warp_sum(lane < warps ? scratch[lane] : 0.0f);
}

// Expands M(suffix, type) for each type that activations and caches have.
#define FOR_EACH_TYPE(M) M(f32, f32) M(f16, f16) M(bf16, bf16)
// Expands M(suffix, first, suffix, second) for each pair.
#define FOR_EACH_PAIR(M)                                                                   \
    M(f32, f32, f32, f32) M(f32, f32, f16, f16) M(f32, f32, bf16, bf16)                     \
    M(f16, f16, f32, f32) M(f16, f16, f16, f16) M(f16, f16, bf16, bf16)                     \
    M(bf16, bf16, f32, f32) M(bf16, bf16, f16, f16) M(bf16, bf16, bf16, bf16)

// Shared memory whose size the launch gives, as an array of `type`.
#ifndef DRAGOMAN_EMULATED
#define DYNAMIC_SHARED(type, name)                                                         \
    extern __shared__ __align__(128) unsigned char name##_bytes[];                         \
    type *name = reinterpret_cast<type *>(name##_bytes)
#endif
