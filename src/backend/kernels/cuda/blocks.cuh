// The layouts of quantized weights: how a block of 32 columns is loaded, unpacked
// and scaled. blocks.rs, which makes them, describes them.
#pragma once

#include "common.cuh"

#define BLOCK 32

// A matrix, of less than 2^36 weights, so that halves of blocks are counted in 32
// bits. Codes and high bits are aligned to 16 bytes, scales to 4.
struct Matrix {
    const uint8_t *codes, *high;
    const uint16_t *scales;
    // Of a row.
    uint32_t blocks;
};

// What a lane holds of a block until it is unpacked.
struct Held {
    uint4 codes, more;
    uint32_t scales;
};

// Weights are read once, so they need not push activations out of the cache.
static __device__ __forceinline__ uint4 load16(const uint8_t *from) {
    return __ldcs(reinterpret_cast<const uint4 *>(from));
}
static __device__ __forceinline__ uint2 load8(const uint8_t *from) {
    return __ldcs(reinterpret_cast<const uint2 *>(from));
}
static __device__ __forceinline__ uint32_t load4(const void *from) {
    return __ldcs(reinterpret_cast<const unsigned int *>(from));
}

static __device__ __forceinline__ float low_half(uint32_t pair) {
    return widen(__ushort_as_half((unsigned short)(pair & 0xffff)));
}
static __device__ __forceinline__ float high_half(uint32_t pair) {
    return widen(__ushort_as_half((unsigned short)(pair >> 16)));
}

// Sums of products of bytes begin here: an integer of 23 bits that is added to
// the bits of 1.5 * 2^23 makes the float that is so much larger, which spares
// converting each sum.
#define SUM_START 0x4b400000
static __device__ __forceinline__ float to_float(int sum) {
    return __int_as_float(sum) - 12582912.0f;
}

static __device__ __forceinline__ int dot16(const int *w, uint4 x, int sum) {
    sum = __dp4a(w[0], (int)x.x, sum);
    sum = __dp4a(w[1], (int)x.y, sum);
    sum = __dp4a(w[2], (int)x.z, sum);
    return __dp4a(w[3], (int)x.w, sum);
}

// Operands of dp4a, of columns 4 i to 4 i + 3 in w[i].
template <typename L>
static __device__ __forceinline__ void unpack_words(const Held &held, int *w) {
    const uint32_t codes[4] = {held.codes.x, held.codes.y, held.codes.z, held.codes.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        uint32_t low, high;
        L::pair(codes[i], make_uint2(held.more.x, held.more.y), i, low, high);
        w[i] = low;
        w[4 + i] = high;
    }
}

// Each layout has: `load` a block of a row; `unpack` it to operands of dp4a, or
// word i of its codes and its high bits to a `pair` of them, of columns 4 i to
// 4 i + 3 and of 16 columns on; `scaled`, which adds to a sum what the products
// with 32 activations stand for (`step`: their scale, and the sum of what they stand
// for; scales as floats; where HALVES, products of both halves apart); `add`, all of
// it at once; `eight` columns from 8 * quarter on as numbers.

struct FourLayout {
    static constexpr bool HALVES = false;
    static __device__ __forceinline__ Held load(const Matrix &m, uint32_t row, uint32_t b) {
        uint32_t at = row * m.blocks + b;
        Held held;
        held.codes = load16(m.codes + (uint64_t)at * 16);
        held.scales = load4(m.scales + (uint64_t)at * 2);
        return held;
    }
    // Low nibbles are columns 0-15, high ones 16-31.
    static __device__ __forceinline__ void pair(uint32_t codes, uint2, uint32_t, uint32_t &low,
                                                uint32_t &high) {
        low = codes & 0x0f0f0f0f;
        high = codes >> 4 & 0x0f0f0f0f;
    }
    static __device__ __forceinline__ void unpack(const Held &held, int *w) {
        unpack_words<FourLayout>(held, w);
    }
    static __device__ __forceinline__ float scaled(float sum, float scale, float offset, int dot,
                                                   int, float2 step) {
        return fmaf(scale * step.x, to_float(dot), fmaf(offset, step.y, sum));
    }
    static __device__ __forceinline__ float add(float sum, const int *w, uint32_t scales,
                                                uint4 first, uint4 second, float2 step) {
        int dot = dot16(w + 4, second, dot16(w, first, SUM_START));
        return scaled(sum, low_half(scales), high_half(scales), dot, 0, step);
    }
    static __device__ __forceinline__ void eight(const Matrix &m, uint32_t row, uint32_t b,
                                                 uint32_t quarter, float *out) {
        uint32_t at = row * m.blocks + b;
        uint2 codes = load8(m.codes + (uint64_t)at * 16 + quarter % 2 * 8);
        uint32_t scales = load4(m.scales + (uint64_t)at * 2), shift = quarter / 2 * 4;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            uint32_t code = (i < 4 ? codes.x : codes.y) >> (shift + i % 4 * 8) & 15;
            out[i] = fmaf(low_half(scales), (float)code, high_half(scales));
        }
    }
};

struct FiveLayout {
    static constexpr bool HALVES = false;
    static __device__ __forceinline__ Held load(const Matrix &m, uint32_t row, uint32_t b) {
        Held held = FourLayout::load(m, row, b);
        held.more.x = load4(m.high + (uint64_t)(row * m.blocks + b) * 4);
        return held;
    }
    static __device__ __forceinline__ void pair(uint32_t codes, uint2 more, uint32_t i,
                                                uint32_t &low, uint32_t &high) {
        low = (codes & 0x0f0f0f0f) | (more.x << (4 - i) & 0x10101010);
        high = (codes >> 4 & 0x0f0f0f0f) | (more.x >> i & 0x10101010);
    }
    static __device__ __forceinline__ void unpack(const Held &held, int *w) {
        unpack_words<FiveLayout>(held, w);
    }
    static __device__ __forceinline__ float scaled(float sum, float scale, float offset, int dot,
                                                   int, float2 step) {
        return FourLayout::scaled(sum, scale, offset, dot, 0, step);
    }
    static __device__ __forceinline__ float add(float sum, const int *w, uint32_t scales,
                                                uint4 first, uint4 second, float2 step) {
        return FourLayout::add(sum, w, scales, first, second, step);
    }
    static __device__ __forceinline__ void eight(const Matrix &m, uint32_t row, uint32_t b,
                                                 uint32_t quarter, float *out) {
        uint32_t at = row * m.blocks + b;
        uint2 codes = load8(m.codes + (uint64_t)at * 16 + quarter % 2 * 8);
        uint32_t scales = load4(m.scales + (uint64_t)at * 2), shift = quarter / 2 * 4;
        uint32_t high = load4(m.high + (uint64_t)at * 4) >> (quarter * 2);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            uint32_t code = (i < 4 ? codes.x : codes.y) >> (shift + i % 4 * 8) & 15;
            code |= (high >> (i % 4 * 8 + i / 4) & 1) << 4;
            out[i] = fmaf(low_half(scales), (float)code, high_half(scales));
        }
    }
};

struct SixLayout {
    static constexpr bool HALVES = true;
    static __device__ __forceinline__ Held load(const Matrix &m, uint32_t row, uint32_t b) {
        Held held = FourLayout::load(m, row, b);
        uint2 high = load8(m.high + (uint64_t)(row * m.blocks + b) * 8);
        held.more.x = high.x;
        held.more.y = high.y;
        return held;
    }
    // The six bits stand highest in their byte, which makes them a signed number,
    // four times as large.
    static __device__ __forceinline__ void pair(uint32_t codes, uint2 more, uint32_t i,
                                                uint32_t &low, uint32_t &high) {
        low = (codes << 2 & 0x3c3c3c3c) | (more.x << (6 - 2 * i) & 0xc0c0c0c0);
        high = (codes >> 2 & 0x3c3c3c3c) | (more.y << (6 - 2 * i) & 0xc0c0c0c0);
    }
    static __device__ __forceinline__ void unpack(const Held &held, int *w) {
        unpack_words<SixLayout>(held, w);
    }
    static __device__ __forceinline__ float scaled(float sum, float first, float second, int low,
                                                   int high, float2 step) {
        float both = fmaf(first, to_float(low), second * to_float(high));
        return fmaf(both, step.x * 0.25f, sum);
    }
    static __device__ __forceinline__ float add(float sum, const int *w, uint32_t scales,
                                                uint4 first, uint4 second, float2 step) {
        int low = dot16(w, first, SUM_START), high = dot16(w + 4, second, SUM_START);
        return scaled(sum, low_half(scales), high_half(scales), low, high, step);
    }
    static __device__ __forceinline__ void eight(const Matrix &m, uint32_t row, uint32_t b,
                                                 uint32_t quarter, float *out) {
        uint32_t at = row * m.blocks + b;
        uint2 codes = load8(m.codes + (uint64_t)at * 16 + quarter % 2 * 8);
        uint32_t scales = load4(m.scales + (uint64_t)at * 2), shift = quarter / 2 * 4;
        uint32_t high = load4(m.high + (uint64_t)at * 8 + quarter / 2 * 4) >> (quarter % 2 * 4);
        float scale = quarter < 2 ? low_half(scales) : high_half(scales);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            uint32_t code = (i < 4 ? codes.x : codes.y) >> (shift + i % 4 * 8) & 15;
            code |= (high >> (i % 4 * 8 + i / 4 * 2) & 3) << 4;
            out[i] = scale * (float)((int)(code ^ 32) - 32);
        }
    }
};

struct EightLayout {
    static constexpr bool HALVES = false;
    static __device__ __forceinline__ Held load(const Matrix &m, uint32_t row, uint32_t b) {
        uint32_t at = row * 2 * m.blocks + b;
        Held held;
        held.codes = load16(m.codes + (uint64_t)at * 16);
        held.more = load16(m.codes + (uint64_t)(at + m.blocks) * 16);
        held.scales = __ldcs(m.scales + row * m.blocks + b);
        return held;
    }
    static __device__ __forceinline__ void unpack(const Held &held, int *w) {
        w[0] = held.codes.x, w[1] = held.codes.y, w[2] = held.codes.z, w[3] = held.codes.w;
        w[4] = held.more.x, w[5] = held.more.y, w[6] = held.more.z, w[7] = held.more.w;
    }
    static __device__ __forceinline__ float scaled(float sum, float scale, float, int dot, int,
                                                   float2 step) {
        return fmaf(scale * step.x, to_float(dot), sum);
    }
    static __device__ __forceinline__ float add(float sum, const int *w, uint32_t scales,
                                                uint4 first, uint4 second, float2 step) {
        int dot = dot16(w + 4, second, dot16(w, first, SUM_START));
        return scaled(sum, low_half(scales), 0.0f, dot, 0, step);
    }
    static __device__ __forceinline__ void eight(const Matrix &m, uint32_t row, uint32_t b,
                                                 uint32_t quarter, float *out) {
        uint32_t half = (row * 2 + quarter / 2) * m.blocks + b;
        uint2 codes = load8(m.codes + (uint64_t)half * 16 + quarter % 2 * 8);
        float scale = low_half(__ldcs(m.scales + row * m.blocks + b));
#pragma unroll
        for (int i = 0; i < 8; i++) {
            int8_t code = (int8_t)((i < 4 ? codes.x : codes.y) >> (i % 4 * 8));
            out[i] = scale * (float)code;
        }
    }
};

// Expands M(suffix, layout) for each.
#define FOR_EACH_LAYOUT(M)                                                                 \
    M(four, FourLayout) M(five, FiveLayout) M(six, SixLayout) M(eight, EightLayout)
