// One row and one split of its keys on tensor cores, for decode.cu.
//
// Keys are the rows of both products: (16 keys, head_dim) by (head_dim, 8 heads),
// then (dimensions, 16 keys) by (16 keys, 8 heads). The order of dimensions within
// a product is free. So a lane loads 8 dimensions of a key at once, and they are
// its part of two products: dimensions 32c + 8t of keys g and g + 8, and of
// values, whose keys are joined in pairs, 64c + 8g of keys 2t, 2t + 1, 2t + 8 and
// 2t + 9. Dimensions beyond head_dim are zeros.
#pragma once

#include "attention.cuh"

// The keys that a block attends to.
struct Share {
    uint32_t context, begin, end, low;

    __device__ __forceinline__ Share(uint32_t context, uint32_t split, uint32_t index,
                                     uint32_t window)
        : context(context), begin(index * split), end(min(begin + split, context)),
          low(window > 0 && context > window ? context - window : 0) {}
    __device__ __forceinline__ bool empty() const { return begin >= context || end <= low; }
};

// Where a block's result for one head goes.
template <typename A>
static __device__ __forceinline__ void put(float *workspace, A *out, uint32_t row,
                                           uint32_t head, uint32_t heads, uint32_t dim,
                                           uint32_t d, float value, float sum) {
    if (gridDim.y == 1) {
        out[((size_t)row * heads + head) * dim + d] = narrow<A>(value / sum);
    } else {
        const size_t part = ((size_t)blockIdx.z * heads + head) * gridDim.y + blockIdx.y;
        workspace[part * (dim + 2) + 2 + d] = value;
    }
}
static __device__ __forceinline__ void put_weights(float *workspace, uint32_t head,
                                                   uint32_t heads, uint32_t dim,
                                                   float greatest, float sum) {
    if (gridDim.y == 1) return;
    const size_t part = ((size_t)blockIdx.z * heads + head) * gridDim.y + blockIdx.y;
    workspace[part * (dim + 2)] = greatest;
    workspace[part * (dim + 2) + 1] = sum;
}

#define SPLIT_ARGUMENTS(S, A)                                                                  \
    const typename Stored<S>::Number *__restrict__ q, const S *__restrict__ k,                 \
        const S *__restrict__ v, const uint8_t *__restrict__ k_scales,                         \
        const uint8_t *__restrict__ v_scales, const uint32_t *__restrict__ tables,             \
        uint32_t table_stride,                                                                 \
        const uint32_t *__restrict__ rows, const uint32_t *__restrict__ sequences,             \
        const uint32_t *__restrict__ contexts, float *__restrict__ workspace,                  \
        A *__restrict__ out, uint32_t heads, uint32_t head_dim, uint32_t block_size,           \
        uint32_t split, uint32_t window, float scale, float softcap
#define SPLIT_NAMES                                                                            \
    q, k, v, k_scales, v_scales, tables, table_stride, rows, sequences, contexts, workspace,   \
        out, heads, head_dim, block_size, split, window, scale, softcap

// CHUNKS: of 64 dimensions. TILES: of 8 heads.
template <typename S, typename A, int CHUNKS, int TILES> struct Split {
    typedef typename Stored<S>::Number C;
    typedef typename Stored<S>::Eight Eight;

    static constexpr int HALVES = 2 * CHUNKS;
    static constexpr int HEADS = 8 * TILES;
    // Wide queries lie in shared memory, as registers hold no more.
    static constexpr bool SHARED_QUERIES = CHUNKS * TILES > 2;
    // Keys of the next tile are loaded while values of this one are used.
    static constexpr bool AHEAD = CHUNKS * TILES <= 4;

    struct Shared {
        Words q[SHARED_QUERIES ? TILES : 1][SHARED_QUERIES ? HALVES : 1][WARP];
        float greatest[ATTENTION_WARPS][HEADS], sum[ATTENTION_WARPS][HEADS];
        alignas(16) float sums[HEADS][CHUNKS * 64];
    };

    // Where 16 keys are: the first 8 and the others, in heads of positions and in
    // numbers.
    struct Place {
        uint32_t key;
        size_t slot[2], at[2];
    };

    static __device__ __forceinline__ void load_keys(Eight (&x)[HALVES][2],
                                                     uint32_t (&factors)[2], const S *k,
                                                     const uint8_t *scales, const Place &place,
                                                     const Share &share, uint32_t dim) {
        const uint32_t g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const uint32_t key = place.key + 8 * half + g;
            const bool seen = key >= share.low && key < share.end;
            const S *from = k + place.at[half] + g * dim + 8 * t;
            factors[half] = Stored<S>::factors(scales, place.slot[half] + g, seen);
#pragma unroll
            for (int c = 0; c < HALVES; c++)
                x[c][half].load(from + 32 * c, seen && 32 * c + 8 * t < dim);
        }
    }

    // Whose value is the i-th of four: keys 2t, 2t + 1, 2t + 8 and 2t + 9.
    static __device__ __forceinline__ uint32_t value_key(const Place &place, int i) {
        return place.key + i / 2 * 8 + 2 * (threadIdx.x % 4) + i % 2;
    }

    static __device__ __forceinline__ void load_values(Eight (&x)[4], int c, const S *v,
                                                       const Place &place, const Share &share,
                                                       uint32_t dim) {
        const uint32_t g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
        const bool within = 64 * c + 8 * g < dim;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const uint32_t key = value_key(place, i);
            const S *from = v + place.at[i / 2] + (2 * t + i % 2) * dim + 64 * c + 8 * g;
            x[i].load(from, within && key >= share.low && key < share.end);
        }
    }

    static __device__ __forceinline__ void load_value_factors(uint32_t (&factors)[4],
                                                              const uint8_t *scales,
                                                              const Place &place,
                                                              const Share &share) {
        const uint32_t t = threadIdx.x % 4;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const uint32_t key = value_key(place, i);
            const bool seen = key >= share.low && key < share.end;
            factors[i] = Stored<S>::factors(scales, place.slot[i / 2] + 2 * t + i % 2, seen);
        }
    }

    // sums of one chunk += values · weights.
    static __device__ __forceinline__ void add_values(float (&sums)[TILES][CHUNKS][4][4], int c,
                                                      const Eight (&stored)[4],
                                                      const uint32_t (&factors)[4],
                                                      const uint32_t (&p)[TILES][2]) {
        Words x[4];
#pragma unroll
        for (int i = 0; i < 4; i++) x[i] = stored[i].numbers(factors[i]);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const uint32_t a0 = low_halves(x[0].w[i], x[1].w[i]);
            const uint32_t a1 = high_halves(x[0].w[i], x[1].w[i]);
            const uint32_t a2 = low_halves(x[2].w[i], x[3].w[i]);
            const uint32_t a3 = high_halves(x[2].w[i], x[3].w[i]);
#pragma unroll
            for (int tile = 0; tile < TILES; tile++)
                mma<C>(sums[tile][c][i], a0, a1, a2, a3, p[tile][0], p[tile][1]);
        }
    }

    static __device__ __forceinline__ void run(SPLIT_ARGUMENTS(S, A)) {
        const uint32_t entry = blockIdx.z, kv_head = blockIdx.x, group = heads / gridDim.x;
        const Share share(contexts[entry], split, blockIdx.y, window);
        if (share.empty()) return;
        const uint32_t row = rows[entry];
        const uint32_t *table = tables + (size_t)sequences[entry] * table_stride;
        for (uint32_t first = 0; first < group; first += HEADS) {
            const uint32_t count = min(group - first, (uint32_t)HEADS);
            pass(q + ((size_t)row * heads + kv_head * group + first) * head_dim, k, v, k_scales,
                 v_scales, table, share, workspace, out, row, kv_head * group + first, count,
                 heads, head_dim, block_size, Score(scale, softcap));
        }
    }

    // One pass over the keys, for `count` heads from `head` on.
    static __device__ __forceinline__ void pass(const C *q, const S *k, const S *v,
                                                const uint8_t *k_scales,
                                                const uint8_t *v_scales,
                                                const uint32_t *table, const Share &share,
                                                float *workspace, A *out, uint32_t row,
                                                uint32_t head, uint32_t count, uint32_t heads,
                                                uint32_t dim, uint32_t block_size,
                                                const Score &score) {
        __shared__ Shared s;
        const uint32_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
        const uint32_t g = lane / 4, t = lane % 4;

        Words qs[TILES][HALVES];
#pragma unroll
        for (int tile = 0; tile < TILES; tile++)
#pragma unroll
            for (int c = 0; c < HALVES; c++) {
                const uint32_t h = 8 * tile + g, d = 32 * c + 8 * t;
                const Words x = load_words(q + h * dim + d, h < count && d < dim);
                if constexpr (SHARED_QUERIES) {
                    if (warp == 0) s.q[tile][c][lane] = x;
                } else {
                    qs[tile][c] = x;
                }
            }
        if constexpr (SHARED_QUERIES) __syncthreads();

        float sums[TILES][CHUNKS][4][4] = {};
        float greatest[TILES][2], sum[TILES][2];
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            greatest[tile][0] = greatest[tile][1] = -INFINITY;
            sum[tile][0] = sum[tile][1] = 0.0f;
        }

        // Tiles of 16 keys go to the warps in turn. Lane j knows the block of half
        // j % 2 of the warp's tile j / 2, for 16 tiles at a time.
        const uint32_t start = max(share.begin, share.low / 16 * 16) + 16 * warp;
        const uint32_t step = 16 * ATTENTION_WARPS;
        uint32_t shift = 0, blocks = 0;
        while ((1u << shift) < block_size) shift++;
        auto place_of = [&](uint32_t tile) {
            Place place;
            place.key = start + tile * step;
            if (tile % 16 == 0) {
                const uint32_t key = place.key + lane / 2 * step + lane % 2 * 8;
                blocks = key < share.end ? table[key >> shift] : 0;
            }
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const uint32_t block = __shfl_sync(ALL_LANES, blocks, tile % 16 * 2 + half);
                const uint32_t in = (place.key + 8 * half) & (block_size - 1);
                place.slot[half] = ((size_t)block * gridDim.x + blockIdx.x) * block_size + in;
                place.at[half] = place.slot[half] * dim;
            }
            return place;
        };

        const uint32_t tiles = start < share.end ? (share.end - start + step - 1) / step : 0;
        Eight keys[HALVES][2];
        uint32_t key_factors[2], value_factors[4];
        Place place = place_of(0);
        if (AHEAD && tiles > 0) load_keys(keys, key_factors, k, k_scales, place, share, dim);
        for (uint32_t i = 0; i < tiles; i++) {
            Eight values[AHEAD ? CHUNKS : 1][4];
            const Place here = place;
            load_value_factors(value_factors, v_scales, here, share);
            if constexpr (AHEAD) {
#pragma unroll
                for (int c = 0; c < CHUNKS; c++) load_values(values[c], c, v, here, share, dim);
            } else {
                load_keys(keys, key_factors, k, k_scales, here, share, dim);
            }

            float x[TILES][4] = {};
#pragma unroll
            for (int c = 0; c < HALVES; c++) {
                const Words a = keys[c][0].numbers(key_factors[0]);
                const Words b = keys[c][1].numbers(key_factors[1]);
#pragma unroll
                for (int tile = 0; tile < TILES; tile++) {
                    const Words of = SHARED_QUERIES ? s.q[tile][c][lane] : qs[tile][c];
                    mma<C>(x[tile], a.w[0], b.w[0], a.w[1], b.w[1], of.w[0], of.w[1]);
                    mma<C>(x[tile], a.w[2], b.w[2], a.w[3], b.w[3], of.w[2], of.w[3]);
                }
            }
            place = place_of(i + 1);
            if (AHEAD && i + 1 < tiles)
                load_keys(keys, key_factors, k, k_scales, place, share, dim);

            const uint32_t key = here.key + g;
            const bool seen[2] = {key >= share.low && key < share.end,
                                  key + 8 >= share.low && key + 8 < share.end};
            uint32_t p[TILES][2];
#pragma unroll
            for (int tile = 0; tile < TILES; tile++) {
                float shrink[2], weights[4];
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    const float a = seen[0] ? score.capped(x[tile][e]) : -INFINITY;
                    const float b = seen[1] ? score.capped(x[tile][2 + e]) : -INFINITY;
                    float most = fmaxf(a, b);
                    for (int apart = 4; apart < WARP; apart *= 2)
                        most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, apart));
                    most = fmaxf(greatest[tile][e], most * score.factor);
                    const float base = base_of(most);
                    shrink[e] = exp2_fast(greatest[tile][e] - base);
                    greatest[tile][e] = most;
                    weights[e] = exp2_fast(fmaf(a, score.factor, -base));
                    weights[2 + e] = exp2_fast(fmaf(b, score.factor, -base));
                    sum[tile][e] = sum[tile][e] * shrink[e] + (weights[e] + weights[2 + e]);
                }
                p[tile][0] = transpose(pack<C>(weights[0], weights[1]));
                p[tile][1] = transpose(pack<C>(weights[2], weights[3]));
#pragma unroll
                for (int c = 0; c < CHUNKS; c++)
#pragma unroll
                    for (int j = 0; j < 16; j++) sums[tile][c][j / 4][j % 4] *= shrink[j % 2];
            }
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) {
                if constexpr (!AHEAD) load_values(values[0], c, v, here, share, dim);
                add_values(sums, c, values[AHEAD ? c : 0], value_factors, p);
            }
        }
        join(s, sums, greatest, sum, workspace, out, row, head, count, heads, dim);
    }

    // Joins what the warps have, in their order, and writes it.
    static __device__ __forceinline__ void join(Shared &s, float (&sums)[TILES][CHUNKS][4][4],
                                                float (&greatest)[TILES][2],
                                                float (&sum)[TILES][2], float *workspace,
                                                A *out, uint32_t row, uint32_t head,
                                                uint32_t count, uint32_t heads, uint32_t dim) {
        const uint32_t warp = threadIdx.x / WARP;
        const uint32_t g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
#pragma unroll
        for (int tile = 0; tile < TILES; tile++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float all = sum[tile][e];
                for (int apart = 4; apart < WARP; apart *= 2)
                    all += __shfl_xor_sync(ALL_LANES, all, apart);
                if (g == 0) {
                    s.greatest[warp][8 * tile + 2 * t + e] = greatest[tile][e];
                    s.sum[warp][8 * tile + 2 * t + e] = all;
                }
            }
        __syncthreads();
        auto most_of = [&](int h) {
            float most = s.greatest[0][h];
            for (int w = 1; w < ATTENTION_WARPS; w++) most = fmaxf(most, s.greatest[w][h]);
            return most;
        };
        for (uint32_t turn = 0; turn < ATTENTION_WARPS; turn++) {
            if (turn == warp) {
#pragma unroll
                for (int j = 0; j < TILES * 2; j++) {
                    const int tile = j / 2, e = j % 2, h = 8 * tile + 2 * t + e;
                    const float shrink = exp2_fast(greatest[tile][e] - base_of(most_of(h)));
#pragma unroll
                    for (int c = 0; c < CHUNKS; c++)
#pragma unroll
                        for (int d = 0; d < 8; d++) {
                            float &to = s.sums[h][64 * c + 8 * g + d];
                            const float x = sums[tile][c][d / 2][d % 2 * 2 + e] * shrink;
                            to = turn == 0 ? x : to + x;
                        }
                }
            }
            __syncthreads();
        }
        for (uint32_t i = threadIdx.x; i < count * dim; i += ATTENTION_THREADS) {
            const uint32_t h = i / dim, d = i % dim;
            const float most = most_of(h), base = base_of(most);
            float all = 0.0f;
            for (int w = 0; w < ATTENTION_WARPS; w++)
                all += s.sum[w][h] * exp2_fast(s.greatest[w][h] - base);
            put(workspace, out, row, head + h, heads, dim, d, s.sums[h][d], all);
            if (d == 0) put_weights(workspace, head + h, heads, dim, most, all);
        }
        __syncthreads();
    }
};
