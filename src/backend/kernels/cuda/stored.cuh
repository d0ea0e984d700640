// Keys and values as a cache stores them, and as they are multiplied.
//
// Codes of eight-bit floats have one scale for each head of each position, a power
// of two, so that they are numbers of bf16 exactly. It is a byte: the exponent, as
// bf16 has it, of what `widen_codes` takes to give the numbers; 255 where one of
// them is no number, and then all codes are 0, which makes none of them one.
#pragma once

#include "float8.cuh"

struct e4m3 {
    uint8_t code;
};
typedef e4m3 f8;

// The exponent of 2^120, and of the least and the greatest scale.
#define SCALE_OF_ONE 247u
#define LEAST_SCALE 121u
#define MOST_SCALE 254u
#define NO_NUMBERS 255u

// The scale of numbers the largest of which has these bits without its sign. 448 is
// 1.75 times a power of two. Beyond 57344 there is none, and numbers become that.
static __device__ __forceinline__ uint32_t scale_of(uint32_t largest) {
    if (largest >= 0x7f800000u) return NO_NUMBERS;
    const uint32_t exponent = (largest >> 23) + ((largest & 0x7fffffu) > 0x600000u);
    // Less the bias of f32 and the 2^8 of 448.
    return min(max(exponent + SCALE_OF_ONE - 127u - 8u, LEAST_SCALE), MOST_SCALE);
}

// A number as a code under that scale.
static __device__ __forceinline__ e4m3 stored_under(uint32_t scale, float x) {
    if (scale == NO_NUMBERS) return {0};
    return {code_of(x * __uint_as_float((127u + SCALE_OF_ONE - scale) << 23))};
}

// How products take what a cache of S stores.
template <typename S> struct Stored {
    typedef S Number;

    // Eight of them that lie together, on their way.
    struct Eight {
        Words x;

        __device__ __forceinline__ void load(const S *from, bool there) {
            x = load_words(from, there);
        }
        __device__ __forceinline__ Words numbers(uint32_t) const { return x; }
    };

    // What `numbers` takes for those of head and position `at`.
    static __device__ __forceinline__ uint32_t factors(const uint8_t *, size_t, bool) {
        return 0;
    }
};

template <> struct Stored<e4m3> {
    typedef bf16 Number;

    struct Eight {
        uint32_t codes[2];

        __device__ __forceinline__ void load(const e4m3 *from, bool there) {
            load_pair(codes, from, there);
        }
        __device__ __forceinline__ Words numbers(uint32_t factors) const {
            Words y;
            widen_codes(codes[0], y.w[0], y.w[1], factors);
            widen_codes(codes[1], y.w[2], y.w[3], factors);
            return y;
        }
    };

    static __device__ __forceinline__ uint32_t factors(const uint8_t *scales, size_t at,
                                                       bool there) {
        const uint32_t scale = there ? scales[at] : 0;
        return scale << 7 | scale << 23;
    }
};
