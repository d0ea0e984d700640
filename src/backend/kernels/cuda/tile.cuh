// Attention of a tile of 64 query rows on tensor cores: one block, each of its 4
// warps with 16 rows. Keys and values come in tiles of 64 to shared memory, keys
// while the values before them are used and values while the keys are, so that
// one buffer of each is enough.
//
// Rows in shared memory are 16 bytes longer than D numbers, which makes them an
// odd number of 16-byte pieces: eight rows lie in different banks.
#pragma once

#include "attention.cuh"

#define TILE_ROWS 64
#define TILE_KEYS 64
// Blocks that a multiprocessor is to have room for, by registers.
#define TILE_BLOCKS(D) ((D) > 128 ? 2 : (D) > 64 ? 3 : 4)

template <typename T, typename A, int D> struct Tile {
    static_assert(D % 16 == 0, "products take 16 dimensions at a time");
    static constexpr int STRIDE = D + 8;
    static constexpr int SIZE = TILE_KEYS * STRIDE;
    // Queries stay in registers as long as there is room.
    static constexpr bool QUERIES_STAY = D <= 128;

    // Queries as fragments, (16 rows, D).
    typedef uint32_t Fragments[QUERIES_STAY ? D / 16 : 1][4];

    // Begins to load 64 rows, of which `low` to `high` are there; others become 0.
    // Rows that are not stored as products take them are loaded here and now.
    template <typename S, typename Row, typename Factors>
    static __device__ __forceinline__ void load(T *to, uint32_t first, uint32_t low,
                                                uint32_t high, const S *any, const Row &row,
                                                const Factors &factors) {
        constexpr int PIECES = D / 8;
        // A few at a time, as their addresses take registers, and codes as well.
        constexpr int TOGETHER = sizeof(S) == sizeof(T) ? 4 : 2;
#pragma unroll TOGETHER
        for (int j = 0; j < TILE_KEYS * PIECES / ATTENTION_THREADS; j++) {
            const uint32_t i = threadIdx.x + j * ATTENTION_THREADS;
            const uint32_t r = i / PIECES, d = i % PIECES * 8, at = first + r;
            const bool there = at >= low && at < high;
            if constexpr (sizeof(S) == sizeof(T)) {
                copy_async(to + r * STRIDE + d, there ? row(at) + d : any, there);
            } else {
                typename Stored<S>::Eight eight;
                eight.load(there ? row(at) + d : any, there);
                *reinterpret_cast<Words *>(to + r * STRIDE + d) =
                    eight.numbers(there ? factors(at) : 0);
            }
        }
        copies_commit();
    }

    // (16 rows, 16 dimensions) of queries.
    static __device__ __forceinline__ void load_queries(uint32_t (&a)[4], const T *q, int k) {
        const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
        load_matrices<false>(a, q + (16 * warp + lane % 16) * STRIDE + 16 * k + lane / 16 * 8);
    }

    // x = queries · keys, (16 rows, 64 keys).
    static __device__ __forceinline__ void multiply_keys(float (&x)[8][4], const T *q,
                                                         const Fragments &qs, const T *keys) {
        const int lane = threadIdx.x % WARP;
#pragma unroll
        for (int n = 0; n < 8; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) x[n][e] = 0.0f;
#pragma unroll
        for (int k = 0; k < D / 16; k++) {
            uint32_t a[4];
            if constexpr (QUERIES_STAY) {
                for (int i = 0; i < 4; i++) a[i] = qs[k][i];
            } else {
                load_queries(a, q, k);
            }
#pragma unroll
            for (int n = 0; n < 8; n += 2) {
                uint32_t b[4];
                const int key = 8 * n + lane / 16 * 8 + lane % 8;
                load_matrices<false>(b, keys + key * STRIDE + 16 * k + lane / 8 % 2 * 8);
                mma<T>(x[n], a[0], a[1], a[2], a[3], b[0], b[1]);
                mma<T>(x[n + 1], a[0], a[1], a[2], a[3], b[2], b[3]);
            }
        }
    }

    // sums += weights · values, (16 rows, D).
    static __device__ __forceinline__ void add_values(float (&sums)[D / 8][4],
                                                      const float (&p)[8][4], const T *values) {
        const int lane = threadIdx.x % WARP;
#pragma unroll
        for (int k = 0; k < TILE_KEYS / 16; k++) {
            const uint32_t a0 = pack<T>(p[2 * k][0], p[2 * k][1]);
            const uint32_t a1 = pack<T>(p[2 * k][2], p[2 * k][3]);
            const uint32_t a2 = pack<T>(p[2 * k + 1][0], p[2 * k + 1][1]);
            const uint32_t a3 = pack<T>(p[2 * k + 1][2], p[2 * k + 1][3]);
#pragma unroll
            for (int n = 0; n < D / 8; n += 2) {
                uint32_t b[4];
                const T *from = values + (16 * k + lane % 16) * STRIDE + 8 * n + lane / 16 * 8;
                load_matrices<true>(b, from);
                mma<T>(sums[n], a0, a1, a2, a3, b[0], b[1]);
                mma<T>(sums[n + 1], a0, a1, a2, a3, b[2], b[3]);
            }
        }
    }

    // Attention of `rows` rows, at most 64, of one head; the first is at position
    // `first`. Row i of the queries is at `q + i * q_stride`; so is `out`.
    template <typename Keys>
    static __device__ __forceinline__ void run(T *shared, const T *q, size_t q_stride, A *out,
                                               size_t out_stride, uint32_t rows, uint32_t first,
                                               const Sight &sight, const Keys &keys,
                                               const Score &score) {
        T *const k_tile = shared, *const v_tile = shared + SIZE;
        T *const q_tile = QUERIES_STAY ? v_tile : shared + 2 * SIZE;
        const uint32_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
        const uint32_t g = lane / 4, t = lane % 4;

        const uint32_t low = sight.low(first), high = sight.high(first + rows - 1);
        const uint32_t begin = low / TILE_KEYS * TILE_KEYS;
        auto load_keys = [&](uint32_t from) {
            load(k_tile, from, low, high, keys.keys, [&](uint32_t i) { return keys.key(i); },
                 [&](uint32_t i) { return keys.key_factors(i); });
        };
        auto load_values = [&](uint32_t from) {
            load(v_tile, from, low, high, keys.values, [&](uint32_t i) { return keys.value(i); },
                 [&](uint32_t i) { return keys.value_factors(i); });
        };
        load(q_tile, 0, 0, rows, q, [&](uint32_t i) { return q + i * q_stride; },
             [](uint32_t) { return 0u; });
        load_keys(begin);
        Fragments qs;
        if constexpr (QUERIES_STAY) {
            copies_wait<1>();
            __syncthreads();
#pragma unroll
            for (int k = 0; k < D / 16; k++) load_queries(qs[k], q_tile, k);
        }

        // Of the lane's two rows, and of the warp's first and last. Rows that are
        // not there see what the last does.
        auto at = [&](uint32_t row) { return first + min(row, rows - 1); };
        uint32_t lows[2], highs[2];
        for (int e = 0; e < 2; e++) {
            lows[e] = sight.low(at(16 * warp + g + 8 * e));
            highs[e] = sight.high(at(16 * warp + g + 8 * e));
        }
        const uint32_t least_low = sight.low(at(16 * warp));
        const uint32_t most_low = sight.low(at(16 * warp + 15));
        const uint32_t least_high = sight.high(at(16 * warp));
        const uint32_t most_high = sight.high(at(16 * warp + 15));

        float sums[D / 8][4] = {};
        float greatest[2] = {-INFINITY, -INFINITY}, sum[2] = {};
        for (uint32_t tile = begin; tile < high; tile += TILE_KEYS) {
            copies_wait<0>();
            __syncthreads();
            load_values(tile);
            const bool sees = tile < most_high && tile + TILE_KEYS > least_low;
            float x[8][4];
            if (sees) multiply_keys(x, q_tile, qs, k_tile);
            __syncthreads();
            const uint32_t next = tile + TILE_KEYS;
            if (next < high) load_keys(next);
            else copies_commit();

            if (sees) {
                if (score.cap > 0.0f)
#pragma unroll
                    for (int n = 0; n < 8; n++)
#pragma unroll
                        for (int e = 0; e < 4; e++) x[n][e] = score.capped(x[n][e]);
                if (tile < most_low || next > least_high)
#pragma unroll
                    for (int n = 0; n < 8; n++)
#pragma unroll
                        for (int e = 0; e < 4; e++) {
                            const uint32_t i = tile + 8 * n + 2 * t + e % 2;
                            if (i < lows[e / 2] || i >= highs[e / 2]) x[n][e] = -INFINITY;
                        }
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    float most = -INFINITY, all = 0.0f;
#pragma unroll
                    for (int n = 0; n < 8; n++)
                        most = fmaxf(most, fmaxf(x[n][2 * r], x[n][2 * r + 1]));
                    most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 1));
                    most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, 2));
                    most = fmaxf(greatest[r], most * score.factor);
                    const float base = base_of(most), shrink = exp2_fast(greatest[r] - base);
                    greatest[r] = most;
#pragma unroll
                    for (int n = 0; n < 8; n++)
#pragma unroll
                        for (int e = 2 * r; e < 2 * r + 2; e++) {
                            x[n][e] = exp2_fast(fmaf(x[n][e], score.factor, -base));
                            all += x[n][e];
                        }
                    sum[r] = sum[r] * shrink + all;
#pragma unroll
                    for (int n = 0; n < D / 8; n++) {
                        sums[n][2 * r] *= shrink;
                        sums[n][2 * r + 1] *= shrink;
                    }
                }
            }
            copies_wait<1>();
            __syncthreads();
            if (sees) add_values(sums, x, v_tile);
        }

#pragma unroll
        for (int r = 0; r < 2; r++) {
            float all = sum[r];
            all += __shfl_xor_sync(ALL_LANES, all, 1);
            all += __shfl_xor_sync(ALL_LANES, all, 2);
            const float share = 1.0f / all;
            const uint32_t row = 16 * warp + g + 8 * r;
            if (row >= rows) continue;
#pragma unroll
            for (int n = 0; n < D / 8; n++) {
                struct alignas(2 * sizeof(A)) Pair {
                    A x[2];
                } pair = {{narrow<A>(sums[n][2 * r] * share),
                           narrow<A>(sums[n][2 * r + 1] * share)}};
                *reinterpret_cast<Pair *>(out + row * out_stride + 8 * n + 2 * t) = pair;
            }
        }
    }
};
