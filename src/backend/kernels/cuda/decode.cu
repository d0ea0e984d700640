// Attention of single rows over the cache, for decoding: bound by memory, so
// every key and value is loaded once, straight to registers, for all heads of
// its group, and long contexts are cut into splits that run side by side.
//
// k and v are (blocks, kv_heads, block_size, head_dim) of type C, with scales
// (blocks, kv_heads, block_size) if C is f8 (see stored.cuh); q is (rows, heads,
// head_dim) of type C, of bf16 where that is f8, out (rows, heads * head_dim) of
// type A.
// Entry i is row rows[i] of sequence sequences[i], which sees the first
// contexts[i] keys of its blocks, or, with a window, the last `window` of those.
// A context of 0 is no entry. tables is (sequences, table_stride).
//
// kernel                    grid                  block  dynamic shared  takes
// attend_split_C_A_DxH      kv_heads, splits, n   128    0               multiples of 8 to D
// attend_split_C_A          kv_heads, splits, n   128    0               head_dim to 512
// attend_combine_A          heads, n              128    0
//
// C of DxH is f16, bf16 or f8, D 64, 128 or 256; H, 8 or 16, is how many heads share
// a pass over the keys: take the least that is no less than heads / kv_heads.
// More than 16 heads take several passes. Block sizes are powers of two from 8.
//
// Split j has keys j * split to (j + 1) * split; `split` is a multiple of 16. Cut
// alike, a row's result is the same in any batch. With one split, which then
// covers the longest context, the first kernel writes `out`. With several it
// writes greatest exponent, sum of weights and head_dim weighted sums to the
// workspace, f32 (n, heads, splits, head_dim + 2), and the second joins them;
// what no split reaches is neither written nor read. q, k and v are aligned to 16
// bytes. C of the second is f32, f16 or bf16.
#include "plain.cuh"
#include "split.cuh"

template <typename C, typename A>
static __device__ __forceinline__ void split_plain(SPLIT_ARGUMENTS(C, A)) {
    const uint32_t entry = blockIdx.z, kv_head = blockIdx.x, group = heads / gridDim.x;
    const Share share(contexts[entry], split, blockIdx.y, window);
    if (share.empty()) return;
    const uint32_t row = rows[entry];
    const PagedKeys<C> keys(k, v, k_scales, v_scales,
                            tables + (size_t)sequences[entry] * table_stride, block_size,
                            gridDim.x, kv_head, head_dim);
    const Score score(scale, softcap);
    __shared__ Plain s;
    PlainSums sums;
    for (uint32_t first = 0; first < group; first += PLAIN_QUERIES) {
        const uint32_t count = min(group - first, (uint32_t)PLAIN_QUERIES);
        const uint32_t head = kv_head * group + first;
        __syncthreads();
        for (uint32_t i = threadIdx.x; i < PLAIN_QUERIES * head_dim; i += ATTENTION_THREADS) {
            const C *of = q + ((size_t)row * heads + head) * head_dim;
            s.q[i / head_dim][i % head_dim] = i < count * head_dim ? widen(of[i]) : 0.0f;
        }
        if (threadIdx.x < PLAIN_QUERIES) {
            s.low[threadIdx.x] = share.low;
            s.high[threadIdx.x] = share.end;
        }
        const uint32_t begin = max(share.begin, share.low / PLAIN_KEYS * PLAIN_KEYS);
        plain_attend<C>(s, keys, head_dim, begin, share.end, score, sums);
#pragma unroll
        for (int j = 0; j < PLAIN_DIM / ATTENTION_THREADS; j++) {
            const uint32_t d = threadIdx.x + j * ATTENTION_THREADS;
            if (d >= head_dim) break;
#pragma unroll
            for (int i = 0; i < PLAIN_QUERIES; i++)
                if (i < count)
                    put(workspace, out, row, head + i, heads, head_dim, d, sums[j][i],
                        s.sum[i]);
        }
        if (threadIdx.x < count)
            put_weights(workspace, head + threadIdx.x, heads, head_dim, s.greatest[threadIdx.x],
                        s.sum[threadIdx.x]);
    }
}

// Joins the splits of each entry that exist, in their order.
template <typename A>
static __device__ __forceinline__ void combine(const float *__restrict__ workspace,
                                               const uint32_t *__restrict__ rows,
                                               const uint32_t *__restrict__ contexts,
                                               A *__restrict__ out, uint32_t head_dim,
                                               uint32_t splits, uint32_t split,
                                               uint32_t window) {
    const uint32_t head = blockIdx.x, heads = gridDim.x, entry = blockIdx.y;
    const uint32_t context = contexts[entry];
    if (context == 0) return;
    const uint32_t low = Share(context, split, 0, window).low / split;
    const uint32_t high = min((context - 1) / split + 1, splits);
    const size_t size = head_dim + 2;
    const float *parts = workspace + ((size_t)entry * heads + head) * splits * size;
    float most = -INFINITY, all = 0.0f;
    for (uint32_t j = low; j < high; j++) most = fmaxf(most, parts[j * size]);
    const float base = base_of(most);
    for (uint32_t j = low; j < high; j++)
        all += parts[j * size + 1] * exp2_fast(parts[j * size] - base);
    for (uint32_t d = threadIdx.x; d < head_dim; d += blockDim.x) {
        float x = 0.0f;
#pragma unroll 4
        for (uint32_t j = low; j < high; j++)
            x += parts[j * size + 2 + d] * exp2_fast(parts[j * size] - base);
        out[((size_t)rows[entry] * heads + head) * head_dim + d] = narrow<A>(x / all);
    }
}

#define PLAIN_SPLIT(c, C, a, A)                                                                \
    extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS)                            \
        attend_split_##c##_##a(SPLIT_ARGUMENTS(C, A)) {                                        \
        split_plain<C, A>(SPLIT_NAMES);                                                        \
    }
FOR_EACH_PAIR(PLAIN_SPLIT)

// Blocks that a multiprocessor is to have room for, by registers.
#define SPLIT_BLOCKS(D, H) ((D) > 128 ? 2 : (D) + 8 * (H) > 192 ? 2 : (D) + (H) > 72 ? 3 : 4)
#define FAST_SPLIT(c, a, D, H)                                                                 \
    extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, SPLIT_BLOCKS(D, H))        \
        attend_split_##c##_##a##_##D##x##H(SPLIT_ARGUMENTS(c, a)) {                            \
        Split<c, a, D / 64, H / 8>::run(SPLIT_NAMES);                                          \
    }
#define FAST_SPLITS(c, a)                                                                      \
    FAST_SPLIT(c, a, 64, 8) FAST_SPLIT(c, a, 64, 16) FAST_SPLIT(c, a, 128, 8)                  \
    FAST_SPLIT(c, a, 128, 16) FAST_SPLIT(c, a, 256, 8) FAST_SPLIT(c, a, 256, 16)
FAST_SPLITS(f16, f32) FAST_SPLITS(f16, f16) FAST_SPLITS(f16, bf16)
FAST_SPLITS(bf16, f32) FAST_SPLITS(bf16, f16) FAST_SPLITS(bf16, bf16)
FAST_SPLITS(f8, f32) FAST_SPLITS(f8, f16) FAST_SPLITS(f8, bf16)

#define COMBINE(a, A)                                                                          \
    extern "C" __global__ void attend_combine_##a(                                             \
        const float *__restrict__ workspace, const uint32_t *__restrict__ rows,                \
        const uint32_t *__restrict__ contexts, A *__restrict__ out, uint32_t head_dim,         \
        uint32_t splits, uint32_t split, uint32_t window) {                                    \
        combine<A>(workspace, rows, contexts, out, head_dim, splits, split, window);           \
    }
FOR_EACH_TYPE(COMBINE)
