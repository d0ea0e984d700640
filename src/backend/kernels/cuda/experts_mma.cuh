// Products of experts on tensor cores: a block has ROWS slots of one expert and
// 128 of its outputs, and goes through the inputs 64 at a time. Rows come to
// shared memory by asynchronous copies, dense weights as well; quantized ones are
// loaded ahead into registers, and expanded to bf16 while they are put there.
//
// A row in shared memory is 64 numbers, eight pieces of 16 bytes, whose places are
// exchanged by the row's number so that eight rows lie in different banks.
#pragma once

#include "blocks.cuh"
#include "experts.cuh"
#include "mma.cuh"

#define MMA_THREADS 128
#define MMA_OUTPUTS 128
#define MMA_INPUTS 64

namespace experts {

// Where piece `p` of row `r` begins.
static __device__ __forceinline__ uint32_t place(uint32_t r, uint32_t p) {
    return r * MMA_INPUTS + (p ^ (r & 7)) * 8;
}

// Dense weights of an expert, from one of its outputs on.
template <typename T> struct Dense {
    typedef T Type;
    typedef const T *Given;
    static constexpr bool EXPANDED = false;
    const T *w;
    uint32_t outputs, inputs;

    __device__ __forceinline__ Dense(Given given, uint32_t expert, uint32_t all, uint32_t first,
                                     uint32_t inputs)
        : w(given + ((uint64_t)expert * all + first) * inputs), outputs(all - first),
          inputs(inputs) {}

    // Begins to copy inputs `k` and following.
    __device__ __forceinline__ void copy(T *to, uint32_t k) const {
        const uint32_t p = threadIdx.x % 8;
#pragma unroll 4
        for (uint32_t r = threadIdx.x / 8; r < MMA_OUTPUTS; r += MMA_THREADS / 8) {
            const bool there = r < outputs && k + p * 8 < inputs;
            copy_async(to + place(r, p), there ? w + (uint64_t)r * inputs + k + p * 8 : w, there);
        }
    }
    __device__ __forceinline__ void fetch(uint32_t) {}
    __device__ __forceinline__ void put(T *) const {}
    __device__ __forceinline__ float factor(uint32_t) const { return 1.0f; }
};

// Four bytes as floats; those of signed numbers were moved into 0 to 255. A float
// of 2^23 and more has its integer in its lowest bits, which spares converting.
static __device__ __forceinline__ void floats(uint32_t word, float zero, float *to) {
    to[0] = __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7440)) - zero;
    to[1] = __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7441)) - zero;
    to[2] = __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7442)) - zero;
    to[3] = __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7443)) - zero;
}

// What `L::unpack` gives as weights: scale and offset of columns of a half.
template <typename L> struct Meaning {
    static constexpr bool SIGNED = false;
    static __device__ __forceinline__ float scale(uint32_t pair, int) { return low_half(pair); }
    static __device__ __forceinline__ float offset(uint32_t pair) { return high_half(pair); }
};
template <> struct Meaning<SixLayout> {
    static constexpr bool SIGNED = true;
    static __device__ __forceinline__ float scale(uint32_t pair, int half) {
        return 0.25f * (half ? high_half(pair) : low_half(pair));
    }
    static __device__ __forceinline__ float offset(uint32_t) { return 0.0f; }
};
template <> struct Meaning<EightLayout> {
    static constexpr bool SIGNED = true;
    static __device__ __forceinline__ float scale(uint32_t pair, int) { return low_half(pair); }
    static __device__ __forceinline__ float offset(uint32_t) { return 0.0f; }
};

struct BlocksGiven {
    Matrix m;
    const float *factors;
};

// Quantized weights of an expert. A thread has the two blocks of 32 inputs of two
// outputs in turn: those side by side read 32 bytes side by side.
template <typename L> struct Expanded {
    typedef bf16 Type;
    typedef BlocksGiven Given;
    static constexpr bool EXPANDED = true;
    static constexpr int HELD = MMA_OUTPUTS * 2 / MMA_THREADS;
    Matrix m;
    const float *factors;
    uint32_t row, outputs;
    Held held[HELD];
    // Bit i: block i is none.
    uint32_t missing;

    __device__ __forceinline__ Expanded(const Given &given, uint32_t expert, uint32_t all,
                                        uint32_t first, uint32_t)
        : m(given.m), factors(given.factors + (uint64_t)expert * all + first),
          row(expert * all + first), outputs(all - first), missing(0) {}

    __device__ __forceinline__ void copy(bf16 *, uint32_t) const {}

    // Loads inputs `k` and following.
    __device__ __forceinline__ void fetch(uint32_t k) {
        const uint32_t b = k / BLOCK + threadIdx.x % 2;
        missing = 0;
#pragma unroll
        for (int i = 0; i < HELD; i++) {
            const uint32_t r = threadIdx.x / 2 + i * (MMA_THREADS / 2);
            if (r < outputs && b < m.blocks) held[i] = L::load(m, row + r, b);
            else missing |= 1u << i;
        }
    }

    // Puts what was loaded to shared memory.
    __device__ __forceinline__ void put(bf16 *to) const {
        constexpr bool SIGNED = Meaning<L>::SIGNED;
        constexpr float ZERO = SIGNED ? 8388608.0f + 128.0f : 8388608.0f;
#pragma unroll
        for (int i = 0; i < HELD; i++) {
            const uint32_t r = threadIdx.x / 2 + i * (MMA_THREADS / 2), p = threadIdx.x % 2 * 4;
            int w[8];
            const bool there = (missing >> i & 1) == 0;
            if (there) L::unpack(held[i], w);
#pragma unroll
            for (int piece = 0; piece < 4; piece++) {
                Words words = {{0, 0, 0, 0}};
                if (there) {
                    const float scale = Meaning<L>::scale(held[i].scales, piece / 2);
                    const float offset = Meaning<L>::offset(held[i].scales);
#pragma unroll
                    for (int half = 0; half < 2; half++) {
                        float x[4];
                        const uint32_t word = (uint32_t)w[2 * piece + half];
                        floats(SIGNED ? word ^ 0x80808080u : word, ZERO, x);
#pragma unroll
                        for (int e = 0; e < 4; e++) x[e] = fmaf(scale, x[e], offset);
                        words.w[2 * half] = pack<bf16>(x[0], x[1]);
                        words.w[2 * half + 1] = pack<bf16>(x[2], x[3]);
                    }
                }
                *reinterpret_cast<Words *>(to + place(r, p + piece)) = words;
            }
        }
    }

    __device__ __forceinline__ float factor(uint32_t output) const { return factors[output]; }
};

// Rows of `inputs` numbers that slots take.
template <typename T, int ROWS> struct Taken {
    static constexpr int OWN = ROWS * 8 / MMA_THREADS;
    const T *from[OWN];
    uint32_t inputs, there;

    __device__ __forceinline__ Taken(const T *x, const uint32_t *order, const Tile &tile,
                                     uint32_t inputs, uint32_t chosen)
        : inputs(inputs), there(0) {
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            const uint32_t r = threadIdx.x / 8 + i * (MMA_THREADS / 8);
            from[i] = x;
            if (r >= tile.rows) continue;
            from[i] = x + (uint64_t)row_of(order, chosen, tile.first + r) * inputs;
            there |= 1u << i;
        }
    }

    __device__ __forceinline__ void copy(T *to, uint32_t k) const {
        const uint32_t p = threadIdx.x % 8, at = k + p * 8;
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            const uint32_t r = threadIdx.x / 8 + i * (MMA_THREADS / 8);
            const bool inside = (there >> i & 1) && at < inputs;
            copy_async(to + place(r, p), inside ? from[i] + at : from[i], inside);
        }
    }
};

static __host__ __device__ constexpr int mma_stages(bool expanded, int rows) {
    return expanded ? 2 : rows > 16 ? 3 : 4;
}

// grid (ceil(outputs / 128), entries), block 128, shared: stages * (ROWS + 128) *
// 128 bytes. Tiles are of at most ROWS slots. Rows of x, and dense weights, begin
// at multiples of 16 bytes; inputs is a multiple of 8, of 32 for quantized weights.
template <typename W, typename Y, int ROWS>
static __device__ __forceinline__ void experts_mma(typename W::Given given,
                                                   const typename W::Type *x, Y *y,
                                                   const uint32_t *order, const uint32_t *starts,
                                                   const uint32_t *tiles, uint32_t outputs,
                                                   uint32_t inputs, uint32_t chosen) {
    typedef typename W::Type T;
    static_assert(ROWS == 16 || ROWS == 64, "warps are laid out for these");
    constexpr int STAGES = mma_stages(W::EXPANDED, ROWS);
    constexpr int STAGE = (ROWS + MMA_OUTPUTS) * MMA_INPUTS;
    // Warps stand side by side, or two by two; each has so many rows and outputs.
    constexpr int DOWN = ROWS > 16 ? 2 : 1, ACROSS = 4 / DOWN;
    constexpr int M = ROWS / DOWN / 16, N = MMA_OUTPUTS / ACROSS / 8;
    DYNAMIC_SHARED(T, shared);
    Tile tile;
    if (!find_tile(tiles, starts, blockIdx.y, ROWS, tile)) return;
    const uint32_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const uint32_t g = lane / 4, t = lane % 4, first = blockIdx.x * MMA_OUTPUTS;
    const uint32_t m0 = warp / ACROSS * (ROWS / DOWN), n0 = warp % ACROSS * (MMA_OUTPUTS / ACROSS);
    const Taken<T, ROWS> rows(x, order, tile, inputs, chosen);
    W weights(given, tile.expert, outputs, first, inputs);
    const uint32_t steps = (inputs + MMA_INPUTS - 1) / MMA_INPUTS;

    float sums[M][N][4];
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) sums[m][n][e] = 0.0f;

    const auto begin = [&](uint32_t step) {
        if (step < steps) {
            T *const stage = shared + step % STAGES * STAGE;
            rows.copy(stage, step * MMA_INPUTS);
            weights.copy(stage + ROWS * MMA_INPUTS, step * MMA_INPUTS);
        }
        // Also of none, so that groups can be counted.
        copies_commit();
    };
    for (uint32_t step = 0; step < STAGES - 1; step++) begin(step);
    weights.fetch(0);
    weights.put(shared + ROWS * MMA_INPUTS);
    for (uint32_t step = 0; step < steps; step++) {
        copies_wait<STAGES - 2>();
        __syncthreads();
        // All have left the stage that is filled now.
        begin(step + STAGES - 1);
        if (step + 1 < steps) weights.fetch((step + 1) * MMA_INPUTS);
        const T *const a_tile = shared + step % STAGES * STAGE;
        const T *const b_tile = a_tile + ROWS * MMA_INPUTS;
#pragma unroll
        for (int k = 0; k < MMA_INPUTS / 16; k++) {
            uint32_t a[M][4];
#pragma unroll
            for (int m = 0; m < M; m++)
                load_matrices<false>(
                    a[m], a_tile + place(m0 + 16 * m + lane % 16, 2 * k + lane / 16));
#pragma unroll
            for (int n = 0; n < N; n += 2) {
                uint32_t b[4];
                const uint32_t r = n0 + 8 * n + lane / 16 * 8 + lane % 8;
                load_matrices<false>(b, b_tile + place(r, 2 * k + lane / 8 % 2));
#pragma unroll
                for (int m = 0; m < M; m++) {
                    mma<T>(sums[m][n], a[m][0], a[m][1], a[m][2], a[m][3], b[0], b[1]);
                    mma<T>(sums[m][n + 1], a[m][0], a[m][1], a[m][2], a[m][3], b[2], b[3]);
                }
            }
        }
        if (step + 1 < steps)
            weights.put(shared + (step + 1) % STAGES * STAGE + ROWS * MMA_INPUTS);
    }
    copies_wait<0>();
    // A lane has pairs of outputs side by side.
    struct alignas(2 * sizeof(Y)) Pair {
        Y low, high;
    };
    const bool whole = outputs % 2 == 0;
#pragma unroll
    for (int n = 0; n < N; n++) {
        const uint32_t o = n0 + 8 * n + 2 * t;
        const bool one = first + o < outputs, two = first + o + 1 < outputs;
        const float low = one ? weights.factor(o) : 0.0f;
        const float high = two ? weights.factor(o + 1) : 0.0f;
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const uint32_t r = m0 + 16 * m + 8 * half + g;
                if (r >= tile.rows || !one) continue;
                Y *to = y + (uint64_t)(tile.first + r) * outputs + first + o;
                const Pair pair = {narrow<Y>(sums[m][n][2 * half] * low),
                                   narrow<Y>(sums[m][n][2 * half + 1] * high)};
                if (whole) {
                    *reinterpret_cast<Pair *>(to) = pair;
                } else {
                    to[0] = pair.low;
                    if (two) to[1] = pair.high;
                }
            }
    }
}

} // namespace experts
