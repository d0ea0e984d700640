// Quantized weights of 128 outputs and 128 columns in shared memory, and as operands
// of tensor cores.
//
// A product in signed bytes takes 16 outputs and 32 columns, one block of each
// output. Words t of blocks of 16 bytes, of outputs g and g + 8, are what lane 4g + t
// needs of them, which `load_matrices` gives of blocks as they lie. Blocks are
// swizzled: those of eight outputs that are read at once lie in different banks.
#pragma once

#include "blocks.cuh"
#include "mma.cuh"

#define TILE_OUTPUTS 128
#define TILE_THREADS 256
// Blocks of an output, or of a row of activations, that come at a time.
#define UNIT 4

// Where piece `c` of 16 bytes of a row of 4 or 8 lies, in pieces.
static __device__ __forceinline__ uint32_t place4(uint32_t row, uint32_t c) {
    return row * 4 + (c ^ (row >> 1 & 3));
}
static __device__ __forceinline__ uint32_t place8(uint32_t row, uint32_t c) {
    return row * 8 + (c ^ (row & 7));
}

// Staged<L> is what a thread copies, and Staged<L>::Pair what a lane holds of two
// blocks of 16 outputs. Outputs and blocks past the end are zeros.
//
// HIGH: bytes of a block's high bits.
template <typename L, int HIGH> struct Nibbles {
    static constexpr int STAGES = 4;
    static constexpr int SCALES = TILE_OUTPUTS * UNIT * 16;
    static constexpr int HIGHS = SCALES + TILE_OUTPUTS * UNIT * 4;
    static constexpr int BYTES = HIGHS + TILE_OUTPUTS * UNIT * HIGH;
    static constexpr int EACH = TILE_OUTPUTS * UNIT / TILE_THREADS;
    // Of the first of the outputs that the thread copies; how many outputs of the tile
    // there are.
    uint32_t at, outputs;

    __device__ __forceinline__ Nibbles(const Matrix &m, uint32_t first, uint32_t outputs)
        : at((first + threadIdx.x / UNIT) * m.blocks + threadIdx.x % UNIT),
          outputs(outputs - first) {}

    __device__ __forceinline__ void load(unsigned char *to, const Matrix &m,
                                         uint32_t unit) const {
        const uint32_t c = threadIdx.x % UNIT;
        const bool within = unit * UNIT + c < m.blocks;
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            const uint32_t i = threadIdx.x + j * TILE_THREADS;
            const uint64_t from = at + j * (TILE_THREADS / UNIT) * m.blocks + unit * UNIT;
            const bool there = within && i / UNIT < outputs;
            copy_async(to + place4(i / UNIT, c) * 16, m.codes + from * 16, there);
            copy_async<4>(to + SCALES + i * 4, m.scales + from * 2, there);
            if constexpr (HIGH > 0)
                copy_async<HIGH>(to + HIGHS + i * HIGH, m.high + from * HIGH, there);
        }
    }

    struct Pair {
        uint32_t codes[4];
        uint32_t scales[2][2];
        uint2 high[2][2];

        // Blocks 2 * pair and the next of outputs `first` to `first + 15` of the tile.
        __device__ __forceinline__ void load(const unsigned char *from, uint32_t first,
                                             uint32_t pair, uint32_t) {
            const uint32_t lane = threadIdx.x % WARP;
            load_matrices<false>(
                codes, from + place4(first + lane % 16, 2 * pair + lane / 16) * 16);
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const uint32_t at = (first + lane / 4 + 8 * e) * UNIT + 2 * pair;
                const uint2 both = *reinterpret_cast<const uint2 *>(from + SCALES + at * 4);
                scales[e][0] = both.x;
                scales[e][1] = both.y;
                if constexpr (HIGH == 4) {
                    const uint2 bits = *reinterpret_cast<const uint2 *>(from + HIGHS + at * 4);
                    high[e][0].x = bits.x;
                    high[e][1].x = bits.y;
                }
                if constexpr (HIGH == 8) {
                    const uint4 bits = *reinterpret_cast<const uint4 *>(from + HIGHS + at * 8);
                    high[e][0] = make_uint2(bits.x, bits.y);
                    high[e][1] = make_uint2(bits.z, bits.w);
                }
            }
        }
        // Of one of the two blocks.
        __device__ __forceinline__ void operands(int block, uint32_t (&a)[4]) const {
            const uint32_t t = threadIdx.x % 4;
#pragma unroll
            for (int e = 0; e < 2; e++)
                L::pair(codes[2 * block + e], high[e][block], t, a[e], a[2 + e]);
        }
        __device__ __forceinline__ float first(int block, int e) const {
            return low_half(scales[e][block]);
        }
        __device__ __forceinline__ float second(int block, int e) const {
            return high_half(scales[e][block]);
        }
    };
};

// Scales have 2 bytes, and a row may have an odd number of them, where the least
// that can be copied is an aligned word: of each row come three, and what is read is
// shifted into its place.
struct Bytes {
    static constexpr int STAGES = 3;
    static constexpr int SCALES = TILE_OUTPUTS * UNIT * 32;
    static constexpr int BYTES = SCALES + TILE_OUTPUTS * 16;
    static constexpr int EACH = 2 * TILE_OUTPUTS * UNIT / TILE_THREADS;
    static constexpr int EACH_SCALES = 4 * TILE_OUTPUTS / TILE_THREADS;
    uint32_t at, scale, outputs;

    __device__ __forceinline__ Bytes(const Matrix &m, uint32_t first, uint32_t outputs)
        : at(((first + threadIdx.x / 8) * 2 + threadIdx.x % 8 / UNIT) * m.blocks +
             threadIdx.x % UNIT),
          scale((first + threadIdx.x / 4) * m.blocks), outputs(outputs - first) {}

    __device__ __forceinline__ void load(unsigned char *to, const Matrix &m,
                                         uint32_t unit) const {
        const bool within = unit * UNIT + threadIdx.x % UNIT < m.blocks;
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            const uint32_t row = (threadIdx.x + j * TILE_THREADS) / 8;
            const uint64_t from = at + j * (TILE_THREADS / 8) * 2 * m.blocks + unit * UNIT;
            copy_async(to + place8(row, threadIdx.x % 8) * 16, m.codes + from * 16,
                       within && row < outputs);
        }
        const uint32_t word = threadIdx.x % 4;
        if (word == 3) return;
#pragma unroll
        for (int j = 0; j < EACH_SCALES; j++) {
            const uint32_t row = (threadIdx.x + j * TILE_THREADS) / 4;
            const uint32_t first = scale + j * (TILE_THREADS / 4) * m.blocks + unit * UNIT;
            const uint64_t from = reinterpret_cast<uint64_t>(m.scales) + (uint64_t)first * 2;
            const uint32_t odd = from / 2 % 2;
            const unsigned char *aligned =
                reinterpret_cast<const unsigned char *>(from - 2 * odd) + 4 * word;
            // Of a word at the end of a row, the other half is not used.
            const bool begun = unit * UNIT + 2 * word < m.blocks + odd;
            copy_async<4>(to + SCALES + row * 16 + word * 4, aligned, begun && row < outputs);
            // The place that is left tells how they lie.
            if (word == 0)
                *reinterpret_cast<uint32_t *>(to + SCALES + row * 16 + 12) = 16 * odd;
        }
    }

    struct Pair {
        uint32_t codes[2][4];
        uint32_t scales[2];

        __device__ __forceinline__ void load(const unsigned char *from, uint32_t first,
                                             uint32_t pair, uint32_t left) {
            const uint32_t lane = threadIdx.x % WARP;
#pragma unroll
            for (int block = 0; block < 2; block++) {
                const uint32_t c = lane / 16 * UNIT + 2 * pair + block;
                load_matrices<false>(codes[block], from + place8(first + lane % 16, c) * 16);
            }
            const uint32_t blocks = left - min(left, 2 * pair);
            const uint32_t kept = blocks > 1 ? 0xffffffffu : blocks == 1 ? 0xffffu : 0;
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const uint4 words = *reinterpret_cast<const uint4 *>(
                    from + SCALES + (first + lane / 4 + 8 * e) * 16);
                const uint32_t low = pair == 0 ? words.x : words.y;
                const uint32_t high = pair == 0 ? words.y : words.z;
                scales[e] = __funnelshift_r(low, high, words.w) & kept;
            }
        }
        __device__ __forceinline__ void operands(int block, uint32_t (&a)[4]) const {
#pragma unroll
            for (int i = 0; i < 4; i++) a[i] = codes[block][i];
        }
        __device__ __forceinline__ float first(int block, int e) const {
            return block == 0 ? low_half(scales[e]) : high_half(scales[e]);
        }
        __device__ __forceinline__ float second(int, int) const { return 0.0f; }
    };
};

template <typename L> struct Staged;
template <> struct Staged<FourLayout> : Nibbles<FourLayout, 0> {
    using Nibbles::Nibbles;
};
template <> struct Staged<FiveLayout> : Nibbles<FiveLayout, 4> {
    using Nibbles::Nibbles;
};
template <> struct Staged<SixLayout> : Nibbles<SixLayout, 8> {
    using Nibbles::Nibbles;
};
template <> struct Staged<EightLayout> : Bytes {
    using Bytes::Bytes;
};
