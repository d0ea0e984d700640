// Eight-bit floats, E4M3: a sign, four bits of exponent, 7 for 2^0, and three of
// mantissa. The largest is 448; 0x7f is no number.
#pragma once

#include "mma.cuh"

// Two numbers of bf16 times two others.
static __device__ __forceinline__ uint32_t multiply_halves(uint32_t a, uint32_t b) {
#ifdef DRAGOMAN_EMULATED
    bf16 x[2], y[2];
    memcpy(x, &a, 4);
    memcpy(y, &b, 4);
    return pack<bf16>(widen(x[0]) * widen(y[0]), widen(x[1]) * widen(y[1]));
#else
    uint32_t product;
    // Adding -0 leaves a product what it is.
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(product) : "r"(a), "r"(b), "r"(0x80008000u));
    return product;
#endif
}

// 2^120, twice.
#define WHOLE_CODES 0x7b807b80u

// Four codes as bf16, first and second, third and fourth, times 2^-120 and `factors`,
// which is exact for powers of two. Exponent and mantissa stand in the lowest bits
// of bf16's exponent and the highest of its mantissa, where they are worth 2^-120
// of what they are, numbers below the least normal one as well. What is no number
// reads as 480.
static __device__ __forceinline__ void widen_codes(uint32_t codes, uint32_t &low, uint32_t &high,
                                                   uint32_t factors = WHOLE_CODES) {
#ifdef DRAGOMAN_EMULATED
    uint32_t a = (codes & 0xffu) << 8 | (codes & 0xff00u) << 16;
    uint32_t b = (codes & 0xff0000u) >> 8 | (codes & 0xff000000u);
#else
    uint32_t a = __byte_perm(codes, 0, 0x1404), b = __byte_perm(codes, 0, 0x3424);
#endif
    low = multiply_halves((a & 0x80008000u) | (a >> 4 & 0x07f007f0u), factors);
    high = multiply_halves((b & 0x80008000u) | (b >> 4 & 0x07f007f0u), factors);
}

// The code nearest to `x`, of two the even one; beyond 448 that of 448.
static __device__ __forceinline__ uint8_t code_of(float x) {
    const float size = fminf(fabsf(x), 448.0f);
    const uint32_t sign = __float_as_uint(x) >> 24 & 0x80u;
    // Below the least normal number, 2^-6, they are multiples of 2^-9.
    if (size < 0.015625f) return sign | (uint32_t)rintf(size * 512.0f);
    uint32_t bits = __float_as_uint(size);
    bits += 0x7ffffu + (bits >> 20 & 1);
    return sign | ((bits >> 20) - (120u << 3));
}
