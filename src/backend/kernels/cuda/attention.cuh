// What the kernels of attention share: where keys and values are, which of them
// a row sees, and how scores become weights.
//
// Scores are kept in units of log2, so that weights are powers of two. Where a
// score or a value is not a number, so is the result.
#pragma once

#include "stored.cuh"

#define ATTENTION_THREADS 128
#define ATTENTION_WARPS (ATTENTION_THREADS / WARP)

// Turns products of queries and keys into exponents: `capped` then times
// `factor`. Softcap 0 is none.
struct Score {
    float inner, cap, factor;

    __device__ __forceinline__ Score(float scale, float softcap) {
        const float log2e = 1.4426950408889634f;
        inner = softcap > 0.0f ? 2.0f * log2e * scale / softcap : 0.0f;
        cap = softcap * log2e;
        factor = softcap > 0.0f ? 1.0f : scale * log2e;
    }

    __device__ __forceinline__ float capped(float x) const {
        if (!(cap > 0.0f)) return x;
        return cap - 2.0f * cap / (exp2_fast(x * inner) + 1.0f);
    }
};

// What is taken from exponents before they are raised: the greatest, but where
// nothing was seen yet nothing.
static __device__ __forceinline__ float base_of(float greatest) {
    return greatest == -INFINITY ? 0.0f : greatest;
}

// The keys that a row sees: those up to `before` positions before it and up to
// `after` behind it, of the first `end`. UNBOUNDED is without bound.
#define UNBOUNDED 0xffffffffu
struct Sight {
    uint32_t before, after, end;

    __device__ __forceinline__ uint32_t low(uint32_t position) const {
        return position > before ? position - before : 0;
    }
    // The first that is not seen any more.
    __device__ __forceinline__ uint32_t high(uint32_t position) const {
        return position < end && after < end - position ? position + after + 1 : end;
    }
};

// Keys and values of one head of one sequence in blocks of the cache, which is
// (blocks, kv_heads, block_size, dim), with its scales, if it has any, (blocks,
// kv_heads, block_size).
template <typename T> struct PagedKeys {
    const T *keys, *values;
    const uint8_t *key_scales, *value_scales;
    const uint32_t *table;
    uint32_t shift, mask, dim;
    size_t step, first;

    __device__ __forceinline__ PagedKeys(const T *k, const T *v, const uint8_t *k_scales,
                                         const uint8_t *v_scales, const uint32_t *table,
                                         uint32_t block_size, uint32_t kv_heads,
                                         uint32_t kv_head, uint32_t dim)
        : keys(k), values(v), key_scales(k_scales), value_scales(v_scales), table(table),
          shift(0), mask(block_size - 1), dim(dim), step((size_t)kv_heads * block_size),
          first((size_t)kv_head * block_size) {
        while ((1u << shift) < block_size) shift++;
    }
    __device__ __forceinline__ size_t slot(uint32_t i) const {
        return table[i >> shift] * step + first + (i & mask);
    }
    __device__ __forceinline__ const T *key(uint32_t i) const { return keys + slot(i) * dim; }
    __device__ __forceinline__ const T *value(uint32_t i) const {
        return values + slot(i) * dim;
    }
    __device__ __forceinline__ uint32_t key_factors(uint32_t i) const {
        return Stored<T>::factors(key_scales, slot(i), true);
    }
    __device__ __forceinline__ uint32_t value_factors(uint32_t i) const {
        return Stored<T>::factors(value_scales, slot(i), true);
    }
};

// Keys and values of one head of one sequence in rows of a packed batch.
template <typename T> struct PackedKeys {
    const T *keys, *values;
    size_t key_stride, value_stride;

    __device__ __forceinline__ const T *key(uint32_t i) const { return keys + i * key_stride; }
    __device__ __forceinline__ const T *value(uint32_t i) const {
        return values + i * value_stride;
    }
    __device__ __forceinline__ uint32_t key_factors(uint32_t) const { return 0; }
    __device__ __forceinline__ uint32_t value_factors(uint32_t) const { return 0; }
};
