// Queries, keys and values on their way from the product to attention: biases,
// norms of heads, rotation, and the cache.

#include "stored.cuh"

// One head of one row, by a warp: bias and norm, then its columns turned,
// halves against each other (arXiv:2104.09864); columns from 2 * half on stay.
// Lane l gets the columns i with i % 32 == l of `head`, in shared memory.
struct Head {
    const float *bias;
    const float *weight;
    const float *weight_bias;
    bool layer;
    float eps;
};

template <typename A>
static __device__ void prepare(const A *from, float *head, uint32_t head_dim, Head how,
                               const float *cos, const float *sin, uint32_t half) {
    uint32_t lane = threadIdx.x % WARP;
    for (uint32_t i = lane; i < head_dim; i += WARP) {
        float value = widen(from[i]);
        head[i] = how.bias ? value + how.bias[i] : value;
    }
    if (how.weight) {
        float mean = 0.0f, squares = 0.0f;
        if (how.layer) {
            for (uint32_t i = lane; i < head_dim; i += WARP) mean += head[i];
            mean = warp_sum(mean) / head_dim;
        }
        for (uint32_t i = lane; i < head_dim; i += WARP) {
            float apart = head[i] - mean;
            squares += apart * apart;
        }
        float factor = 1.0f / sqrtf(warp_sum(squares) / head_dim + how.eps);
        for (uint32_t i = lane; i < head_dim; i += WARP) {
            float value = (head[i] - mean) * factor * how.weight[i];
            head[i] = how.weight_bias ? value + how.weight_bias[i] : value;
        }
    }
    __syncwarp();
    for (uint32_t i = lane; i < half; i += WARP) {
        float a = head[i], b = head[i + half];
        head[i] = a * cos[i] - b * sin[i];
        head[i + half] = b * cos[i] + a * sin[i];
    }
    __syncwarp();
}

// Which head a warp has: queries first, then keys, then values.
struct Which {
    uint32_t kind; // 0 a query, 1 a key, 2 a value
    uint32_t head;
};

static __device__ Which which(uint32_t i, uint32_t heads, uint32_t kv_heads) {
    if (i < heads) return {0, i};
    if (i < heads + kv_heads) return {1, i - heads};
    return {2, i - heads - kv_heads};
}

// Where a row of queries, keys and values begins, and what is done to it.
// `own` says that each head has weights of its own.
template <typename A> struct Rows {
    const A *parts[3];
    const float *biases[3];
    const float *weights[2];
    const float *weight_biases[2];
    uint32_t strides[3];
    uint32_t own, layer;
    float eps;
};

// What a head's kind has of three; an index would put them into memory.
template <typename T> static __device__ T of(const T (&three)[3], Which w) {
    return w.kind == 0 ? three[0] : w.kind == 1 ? three[1] : three[2];
}

template <typename A>
static __device__ const A *place(const Rows<A> &rows, Which w, uint32_t row, uint32_t head_dim,
                                 Head *how) {
    uint32_t column = w.head * head_dim;
    const float *bias = of(rows.biases, w);
    *how = {bias ? bias + column : 0, 0, 0, rows.layer != 0, rows.eps};
    const float *const weights[3] = {rows.weights[0], rows.weights[1], nullptr};
    const float *const shifts[3] = {rows.weight_biases[0], rows.weight_biases[1], nullptr};
    if (const float *weight = of(weights, w)) {
        uint32_t at = rows.own ? column : 0;
        how->weight = weight + at;
        if (const float *shift = of(shifts, w)) how->weight_bias = shift + at;
    }
    return of(rows.parts, w) + (uint64_t)row * of(rows.strides, w) + column;
}

// What a warp has prepared: the columns of a head, in shared memory, or nothing.
template <typename A> struct Turned {
    bool none;
    Which which;
    const A *from;
    float *head;
};

// Prepares the head that is this warp's in grid (rows, ceil((heads + 2 *
// kv_heads) / 4)), block 128, with shared memory of 16 * head_dim bytes. The row
// is turned by row `position` of the tables.
template <typename A>
static __device__ Turned<A> turn(const Rows<A> &rows, const float *cos, const float *sin,
                                 uint32_t half, uint32_t position, uint32_t heads,
                                 uint32_t kv_heads, uint32_t head_dim) {
    DYNAMIC_SHARED(float, shared);
    uint32_t warp = threadIdx.x / WARP, i = blockIdx.y * 4 + warp;
    if (i >= heads + 2 * kv_heads) return {true, {0, 0}, nullptr, nullptr};
    Which w = which(i, heads, kv_heads);
    float *head = shared + warp * head_dim;
    Head how;
    const A *from = place(rows, w, blockIdx.x, head_dim, &how);
    uint64_t at = (uint64_t)position * half;
    prepare(from, head, head_dim, how, cos + at, sin + at, w.kind == 2 ? 0 : half);
    return {false, w, from, head};
}

#define ROWS(A)                                                                            \
    const A *q, const A *k, const A *v, uint32_t q_stride, uint32_t k_stride,              \
        uint32_t v_stride, const float *q_bias, const float *k_bias, const float *v_bias,  \
        const float *q_weight, const float *k_weight, const float *q_weight_bias,          \
        const float *k_weight_bias, uint32_t own, uint32_t layer, float eps
#define GIVEN_ROWS                                                                         \
    {{q, k, v},                                                                            \
     {q_bias, k_bias, v_bias},                                                             \
     {q_weight, k_weight},                                                                 \
     {q_weight_bias, k_weight_bias},                                                       \
     {q_stride, k_stride, v_stride},                                                       \
     own,                                                                                  \
     layer,                                                                                \
     eps}

// Stores a warp's head, or its codes and their scale.
template <typename C>
static __device__ __forceinline__ void store(C *to, uint8_t *, const float *head,
                                             uint32_t head_dim) {
    for (uint32_t c = threadIdx.x % WARP; c < head_dim; c += WARP) to[c] = narrow<C>(head[c]);
}
template <>
__device__ __forceinline__ void store(e4m3 *to, uint8_t *scale, const float *head,
                                      uint32_t head_dim) {
    // In bits, of which those of what is no number are the greatest.
    uint32_t largest = 0;
    for (uint32_t c = threadIdx.x % WARP; c < head_dim; c += WARP)
        largest = max(largest, __float_as_uint(head[c]) & 0x7fffffffu);
    for (int apart = WARP / 2; apart > 0; apart /= 2)
        largest = max(largest, __shfl_xor_sync(ALL_LANES, largest, apart));
    const uint32_t own = scale_of(largest);
    for (uint32_t c = threadIdx.x % WARP; c < head_dim; c += WARP)
        to[c] = stored_under(own, head[c]);
    if (threadIdx.x % WARP == 0) *scale = own;
}

// Launched as `turn` says. Queries go to `q_out` (rows, heads, head_dim), keys and
// values to the row's slot of a layer of the cache, (blocks, kv_heads,
// block_size, head_dim) each, with scales (blocks, kv_heads, block_size) if C is
// f8. A row whose slot is 0xffffffff is padding. `cos` and `sin` are tables
// (positions, half).
template <typename A, typename C>
static __device__ void rotate_cache(Rows<A> rows, const float *cos, const float *sin,
                                    uint32_t half, const uint32_t *positions,
                                    const uint32_t *slots,
                                    typename Stored<C>::Number *q_out, C *k_cache, C *v_cache,
                                    uint8_t *k_scales, uint8_t *v_scales, uint32_t heads,
                                    uint32_t kv_heads, uint32_t head_dim,
                                    uint32_t block_size) {
    uint32_t row = blockIdx.x, slot = slots[row];
    Turned<A> turned = turn(rows, cos, sin, half, positions[row], heads, kv_heads, head_dim);
    Which w = turned.which;
    if (turned.none || (slot == 0xffffffffu && w.kind > 0)) return;
    if (w.kind == 0) {
        const uint64_t at = (uint64_t)row * heads + w.head;
        store(q_out + at * head_dim, nullptr, turned.head, head_dim);
        return;
    }
    uint64_t block = slot / block_size, offset = slot % block_size;
    uint64_t at = (block * kv_heads + w.head) * block_size + offset;
    C *to = (w.kind == 1 ? k_cache : v_cache) + at * head_dim;
    store(to, (w.kind == 1 ? k_scales : v_scales) + at, turned.head, head_dim);
}

#define ROTATE_CACHE(a_name, A, c_name, C)                                                 \
    extern "C" __global__ void rotate_cache_##a_name##_##c_name(                           \
        ROWS(A), const float *cos, const float *sin, uint32_t half,                        \
        const uint32_t *positions, const uint32_t *slots, Stored<C>::Number *q_out,        \
        C *k_cache, C *v_cache, uint8_t *k_scales, uint8_t *v_scales, uint32_t heads,      \
        uint32_t kv_heads, uint32_t head_dim, uint32_t block_size) {                       \
        rotate_cache<A, C>(GIVEN_ROWS, cos, sin, half, positions, slots, q_out, k_cache,   \
                           v_cache, k_scales, v_scales, heads, kv_heads, head_dim,         \
                           block_size);                                                    \
    }
FOR_EACH_PAIR(ROTATE_CACHE)
ROTATE_CACHE(f32, f32, f8, f8)
ROTATE_CACHE(f16, f16, f8, f8)
ROTATE_CACHE(bf16, bf16, f8, f8)

// Launched as `turn` says. The same where the rows are, for encoders. With
// `positions` null, row r takes row r of the tables.
template <typename A>
static __device__ void rotate_rows(Rows<A> rows, const float *cos, const float *sin,
                                   uint32_t half, const uint32_t *positions, uint32_t heads,
                                   uint32_t kv_heads, uint32_t head_dim) {
    uint32_t position = positions ? positions[blockIdx.x] : blockIdx.x;
    Turned<A> turned = turn(rows, cos, sin, half, position, heads, kv_heads, head_dim);
    if (turned.none) return;
    A *to = const_cast<A *>(turned.from);
    for (uint32_t c = threadIdx.x % WARP; c < head_dim; c += WARP)
        to[c] = narrow<A>(turned.head[c]);
}

#define ROTATE_ROWS(a_name, A)                                                             \
    extern "C" __global__ void rotate_rows_##a_name(                                       \
        ROWS(A), const float *cos, const float *sin, uint32_t half,                        \
        const uint32_t *positions, uint32_t heads, uint32_t kv_heads,                      \
        uint32_t head_dim) {                                                               \
        rotate_rows<A>(GIVEN_ROWS, cos, sin, half, positions, heads, kv_heads, head_dim);  \
    }
FOR_EACH_TYPE(ROTATE_ROWS)
