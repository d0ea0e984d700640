// Attention without tensor cores, for caches of f32 and for head dimensions that
// the fast kernels do not take: up to 8 queries at once, which share their keys.
#pragma once

#include "attention.cuh"

#define PLAIN_QUERIES 8
#define PLAIN_KEYS ATTENTION_THREADS
#define PLAIN_DIM 512

struct Plain {
    float q[PLAIN_QUERIES][PLAIN_DIM];
    // Exponents, then weights, of one tile of keys.
    float p[PLAIN_KEYS][PLAIN_QUERIES];
    // Greatest exponent and sum of weights so far; what the last tile shrinks
    // earlier sums by.
    float greatest[PLAIN_QUERIES], sum[PLAIN_QUERIES], shrink[PLAIN_QUERIES];
    // Keys each query sees.
    uint32_t low[PLAIN_QUERIES], high[PLAIN_QUERIES];
};

// Sums of values of dimension threadIdx.x + 128 j, by query.
typedef float PlainSums[PLAIN_DIM / ATTENTION_THREADS][PLAIN_QUERIES];

// Products of one key with all queries.
template <typename T>
static __device__ __forceinline__ void plain_products(const Plain &s, const T *key,
                                                      uint32_t dim,
                                                      float (&x)[PLAIN_QUERIES]) {
    constexpr int WIDE = 16 / sizeof(T);
    for (int i = 0; i < PLAIN_QUERIES; i++) x[i] = 0.0f;
    uint32_t d = 0;
    if (dim % WIDE == 0)
        for (; d < dim; d += WIDE) {
            struct alignas(16) Wide {
                T x[WIDE];
            } wide = *reinterpret_cast<const Wide *>(key + d);
#pragma unroll
            for (int e = 0; e < WIDE; e++)
#pragma unroll
                for (int i = 0; i < PLAIN_QUERIES; i++)
                    x[i] += s.q[i][d + e] * widen(wide.x[e]);
        }
    for (; d < dim; d++)
#pragma unroll
        for (int i = 0; i < PLAIN_QUERIES; i++) x[i] += s.q[i][d] * widen(key[d]);
}

// Attention of the queries in `s.q`, whose `low` and `high` are set, over keys
// `begin` to `end`, where `begin` alone decides how keys are grouped. Results are
// in `s.greatest`, `s.sum` and `sums`; all threads of the block take part.
template <typename T, typename Keys>
static __device__ __forceinline__ void plain_attend(Plain &s, const Keys &keys, uint32_t dim,
                                                    uint32_t begin, uint32_t end,
                                                    const Score &score, PlainSums &sums) {
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    constexpr int OWN = PLAIN_DIM / ATTENTION_THREADS;
#pragma unroll
    for (int j = 0; j < OWN; j++)
#pragma unroll
        for (int i = 0; i < PLAIN_QUERIES; i++) sums[j][i] = 0.0f;
    if (threadIdx.x < PLAIN_QUERIES) {
        s.greatest[threadIdx.x] = -INFINITY;
        s.sum[threadIdx.x] = 0.0f;
    }
    __syncthreads();
    for (uint32_t tile = begin; tile < end; tile += PLAIN_KEYS) {
        const uint32_t key = tile + threadIdx.x;
        float x[PLAIN_QUERIES];
        if (key < end) plain_products(s, keys.key(key), dim, x);
#pragma unroll
        for (int i = 0; i < PLAIN_QUERIES; i++) {
            const bool seen = key < end && key >= s.low[i] && key < s.high[i];
            s.p[threadIdx.x][i] = seen ? score.capped(x[i]) * score.factor : -INFINITY;
        }
        __syncthreads();
        for (int i = warp; i < PLAIN_QUERIES; i += ATTENTION_WARPS) {
            float before = s.greatest[i], greatest = before, sum = 0.0f;
            for (int k = lane; k < PLAIN_KEYS; k += WARP) greatest = fmaxf(greatest, s.p[k][i]);
            greatest = warp_max(greatest);
            const float base = base_of(greatest);
            for (int k = lane; k < PLAIN_KEYS; k += WARP) {
                const float weight = exp2f(s.p[k][i] - base);
                s.p[k][i] = weight;
                sum += weight;
            }
            sum = warp_sum(sum);
            if (lane == 0) {
                s.shrink[i] = exp2f(before - base);
                s.sum[i] = s.sum[i] * s.shrink[i] + sum;
                s.greatest[i] = greatest;
            }
        }
        __syncthreads();
        const uint32_t there = min(end - tile, (uint32_t)PLAIN_KEYS);
#pragma unroll
        for (int j = 0; j < OWN; j++) {
            const uint32_t d = threadIdx.x + j * ATTENTION_THREADS;
            if (d >= dim) break;
#pragma unroll
            for (int i = 0; i < PLAIN_QUERIES; i++) sums[j][i] *= s.shrink[i];
#pragma unroll 4
            for (uint32_t k = 0; k < there; k++) {
                const float v = widen(keys.value(tile + k)[d]);
#pragma unroll
                for (int i = 0; i < PLAIN_QUERIES; i++) sums[j][i] += s.p[k][i] * v;
            }
        }
        __syncthreads();
    }
}

// Attention of `rows` rows of a sequence, the first at position `first`, 8 at a
// time. Row i of the queries is at `q + i * q_stride`; so is `out`.
template <typename T, typename A, typename Keys>
static __device__ __forceinline__ void plain_rows(const T *q, size_t q_stride, A *out,
                                                  size_t out_stride, uint32_t rows,
                                                  uint32_t first, uint32_t dim,
                                                  const Sight &sight, const Keys &keys,
                                                  const Score &score) {
    __shared__ Plain s;
    PlainSums sums;
    for (uint32_t row = 0; row < rows; row += PLAIN_QUERIES) {
        const uint32_t count = min(rows - row, (uint32_t)PLAIN_QUERIES);
        __syncthreads();
        for (uint32_t i = threadIdx.x; i < PLAIN_QUERIES * dim; i += ATTENTION_THREADS) {
            const uint32_t r = i / dim, d = i % dim;
            s.q[r][d] = r < count ? widen(q[(row + r) * q_stride + d]) : 0.0f;
        }
        if (threadIdx.x < PLAIN_QUERIES) {
            const uint32_t position = first + row + min(threadIdx.x, count - 1);
            s.low[threadIdx.x] = sight.low(position);
            s.high[threadIdx.x] = sight.high(position);
        }
        // Tiles lie at fixed positions, so that what shares a block changes nothing.
        const uint32_t low = sight.low(first + row) / PLAIN_KEYS * PLAIN_KEYS;
        const uint32_t high = sight.high(first + row + count - 1);
        plain_attend<T>(s, keys, dim, low, high, score, sums);
#pragma unroll
        for (int j = 0; j < PLAIN_DIM / ATTENTION_THREADS; j++) {
            const uint32_t d = threadIdx.x + j * ATTENTION_THREADS;
            if (d >= dim) break;
#pragma unroll
            for (int i = 0; i < PLAIN_QUERIES; i++)
                if (i < count)
                    out[(row + i) * out_stride + d] = narrow<A>(sums[j][i] / s.sum[i]);
        }
    }
}
