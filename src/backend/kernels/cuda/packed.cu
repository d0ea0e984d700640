// Attention of the rows of packed sequences over each other, without a cache,
// for encoders, in tiles of 64 rows.
//
// q is (rows, heads, head_dim), k and v (rows, kv_heads, head_dim), all of type
// A; rows are q_stride, k_stride and v_stride numbers apart, so that they can be
// columns of one matrix. out is (rows, heads * head_dim) of type A. Sequence s
// has rows cu_seqlens[s] to cu_seqlens[s + 1]. A row sees those of its sequence
// up to `before` positions before it and up to `after` behind it; 0xffffffff is
// all. Task t is {sequence, first of its 64 rows within the sequence}:
// tasks[2t], tasks[2t + 1].
//
// kernel             grid          block  dynamic shared  takes
// attend_packed_A_D  heads, tasks  128    256 (D + 8)     head_dim = D
// attend_packed_A    heads, tasks  128    0               head_dim <= 512
//
// That is bytes. A of the first is f16 or bf16, D 32, 64, 80, 96 or 128; for it
// q, k and v are aligned to 16 bytes and their strides are multiples of 8. The
// second needs k aligned to 16 bytes, and k_stride to as much, where a head's
// bytes are a multiple of 16.
#include "plain.cuh"
#include "tile.cuh"

#define PACKED_ARGUMENTS(A)                                                                    \
    const A *__restrict__ q, const A *__restrict__ k, const A *__restrict__ v,                 \
        uint32_t q_stride, uint32_t k_stride, uint32_t v_stride,                               \
        const uint32_t *__restrict__ tasks, const uint32_t *__restrict__ cu_seqlens,           \
        A *__restrict__ out, uint32_t kv_heads, uint32_t head_dim, uint32_t before,            \
        uint32_t after, float scale, float softcap
#define PACKED_NAMES                                                                           \
    q, k, v, q_stride, k_stride, v_stride, tasks, cu_seqlens, out, kv_heads, head_dim, before, \
        after, scale, softcap

// D is 0 for the plain version.
template <typename A, int D>
static __device__ __forceinline__ void attend_packed(PACKED_ARGUMENTS(A)) {
    const uint32_t head = blockIdx.x, heads = gridDim.x, dim = D > 0 ? D : head_dim;
    const uint32_t sequence = tasks[2 * blockIdx.y], first = tasks[2 * blockIdx.y + 1];
    const uint32_t start = cu_seqlens[sequence], all = cu_seqlens[sequence + 1] - start;
    const uint32_t rows = min(all - first, (uint32_t)TILE_ROWS);
    const Sight sight = {before, after, all};
    const uint32_t kv_head = head / (heads / kv_heads);
    const A *first_key = k + (size_t)start * k_stride + kv_head * dim;
    const A *first_value = v + (size_t)start * v_stride + kv_head * dim;
    const PackedKeys<A> keys = {first_key, first_value, k_stride, v_stride};
    const A *from = q + (size_t)(start + first) * q_stride + head * dim;
    const size_t stride = (size_t)heads * dim;
    A *to = out + (start + first) * stride + head * dim;
    const Score score(scale, softcap);
    if constexpr (D > 0) {
        DYNAMIC_SHARED(A, shared);
        Tile<A, A, D>::run(shared, from, q_stride, to, stride, rows, first, sight, keys, score);
    } else {
        plain_rows(from, q_stride, to, stride, rows, first, dim, sight, keys, score);
    }
}

#define PLAIN_PACKED(a, A)                                                                     \
    extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS)                            \
        attend_packed_##a(PACKED_ARGUMENTS(A)) {                                               \
        attend_packed<A, 0>(PACKED_NAMES);                                                     \
    }
FOR_EACH_TYPE(PLAIN_PACKED)

#define FAST_PACKED(a, D)                                                                      \
    extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, TILE_BLOCKS(D))            \
        attend_packed_##a##_##D(PACKED_ARGUMENTS(a)) {                                         \
        attend_packed<a, D>(PACKED_NAMES);                                                     \
    }
#define FAST_PACKED_OF(a)                                                                      \
    FAST_PACKED(a, 32) FAST_PACKED(a, 64) FAST_PACKED(a, 80) FAST_PACKED(a, 96)                \
    FAST_PACKED(a, 128)
FAST_PACKED_OF(f16) FAST_PACKED_OF(bf16)
