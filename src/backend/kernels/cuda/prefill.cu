// Attention of many rows of a sequence over the cache, for prompts, in tiles of
// 64 rows.
//
// k and v are (blocks, kv_heads, block_size, head_dim) of type C, already with
// the keys of these rows, with scales (blocks, kv_heads, block_size) if C is f8
// (see stored.cuh); q is (rows, heads, head_dim) of type C, of bf16 where that is
// f8, out (rows, heads * head_dim) of type A. Sequence s has rows cu_seqlens[s] to
// cu_seqlens[s + 1], the last of which is at position context_lens[s] - 1, and
// row s of tables, (sequences, table_stride). Task t is {sequence, first of its
// 64 rows within the sequence}: tasks[2t], tasks[2t + 1]; those that see most
// keys are best put first.
//
// Rows see the keys up to their own position, with a window the last `window` of
// those. Where `causal` is 0 they see all of context_lens[s], as texts see their
// source, and window is 0.
//
// kernel             grid          block  dynamic shared                takes
// attend_rows_C_A_D  heads, tasks  128    128 (D + 8) (D > 128 ? 3 : 2)  head_dim = D
// attend_rows_C_A    heads, tasks  128    0                             head_dim <= 512
//
// That is bytes; D of 128 needs 34816, of 256 101376. C of the first is f16, bf16
// or f8, D 32, 64, 80, 96, 112, 128, 192 or 256; of the second f32, f16 or bf16.
// Block sizes are powers of two. q, k and v are aligned to 16 bytes, out to 8.
#include "plain.cuh"
#include "tile.cuh"

#define ROWS_ARGUMENTS(C, A)                                                                   \
    const typename Stored<C>::Number *__restrict__ q, const C *__restrict__ k,                 \
        const C *__restrict__ v, const uint8_t *__restrict__ k_scales,                         \
        const uint8_t *__restrict__ v_scales, const uint32_t *__restrict__ tables,             \
        uint32_t table_stride,                                                                 \
        const uint32_t *__restrict__ tasks, const uint32_t *__restrict__ cu_seqlens,           \
        const uint32_t *__restrict__ context_lens, A *__restrict__ out, uint32_t kv_heads,     \
        uint32_t head_dim, uint32_t block_size, uint32_t window, uint32_t causal, float scale, \
        float softcap
#define ROWS_NAMES                                                                             \
    q, k, v, k_scales, v_scales, tables, table_stride, tasks, cu_seqlens, context_lens, out,   \
        kv_heads, head_dim, block_size, window, causal, scale, softcap

// D is 0 for the plain version.
template <typename C, typename A, int D>
static __device__ __forceinline__ void attend_rows(ROWS_ARGUMENTS(C, A)) {
    const uint32_t head = blockIdx.x, heads = gridDim.x, dim = D > 0 ? D : head_dim;
    const uint32_t sequence = tasks[2 * blockIdx.y], first = tasks[2 * blockIdx.y + 1];
    const uint32_t start = cu_seqlens[sequence], all = cu_seqlens[sequence + 1] - start;
    const uint32_t rows = min(all - first, (uint32_t)TILE_ROWS);
    const uint32_t context = context_lens[sequence];
    const Sight sight = {window > 0 ? window - 1 : UNBOUNDED, causal ? 0 : UNBOUNDED, context};
    const uint32_t position = causal ? context - all + first : 0;
    const uint32_t *table = tables + (size_t)sequence * table_stride;
    const PagedKeys<C> keys(k, v, k_scales, v_scales, table, block_size, kv_heads,
                            head / (heads / kv_heads), dim);
    const size_t stride = (size_t)heads * dim;
    const size_t at = (start + first) * stride + head * dim;
    const Score score(scale, softcap);
    if constexpr (D > 0) {
        typedef typename Stored<C>::Number T;
        DYNAMIC_SHARED(T, shared);
        Tile<T, A, D>::run(shared, q + at, stride, out + at, stride, rows, position, sight,
                           keys, score);
    } else {
        plain_rows(q + at, stride, out + at, stride, rows, position, dim, sight, keys, score);
    }
}

#define PLAIN_ROWS(c, C, a, A)                                                                 \
    extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS)                            \
        attend_rows_##c##_##a(ROWS_ARGUMENTS(C, A)) {                                          \
        attend_rows<C, A, 0>(ROWS_NAMES);                                                      \
    }
FOR_EACH_PAIR(PLAIN_ROWS)

#define FAST_ROWS(c, a, D)                                                                     \
    extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, TILE_BLOCKS(D))            \
        attend_rows_##c##_##a##_##D(ROWS_ARGUMENTS(c, a)) {                                    \
        attend_rows<c, a, D>(ROWS_NAMES);                                                      \
    }
#define FAST_ROWS_OF(c, a)                                                                     \
    FAST_ROWS(c, a, 32) FAST_ROWS(c, a, 64) FAST_ROWS(c, a, 80) FAST_ROWS(c, a, 96)            \
    FAST_ROWS(c, a, 112) FAST_ROWS(c, a, 128) FAST_ROWS(c, a, 192) FAST_ROWS(c, a, 256)
FAST_ROWS_OF(f16, f32) FAST_ROWS_OF(f16, f16) FAST_ROWS_OF(f16, bf16)
FAST_ROWS_OF(bf16, f32) FAST_ROWS_OF(bf16, f16) FAST_ROWS_OF(bf16, bf16)
FAST_ROWS_OF(f8, f32) FAST_ROWS_OF(f8, f16) FAST_ROWS_OF(f8, bf16)
