// What lies between the products of layers: adding a layer's result to the
// residual and normalising the sum, once over each row.

#include "common.cuh"

// Root-mean-square norm, or layer norm, of a row in shared memory.
// (arXiv:1910.07467, arXiv:1607.06450)
struct Norm {
    const float *weight;
    const float *bias;
    float eps;
    bool layer;
};

// Normalises `row` of `width` numbers where it is. All threads of the block
// take part and see the result.
static __device__ void normalize(float *row, uint32_t width, Norm norm, float *scratch) {
    float mean = 0.0f;
    if (norm.layer) {
        float sum = 0.0f;
        for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) sum += row[i];
        mean = block_sum(sum, scratch) / width;
    }
    float squares = 0.0f;
    for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) {
        float apart = row[i] - mean;
        squares += apart * apart;
    }
    float factor = 1.0f / sqrtf(block_sum(squares, scratch) / width + norm.eps);
    for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) {
        float value = (row[i] - mean) * factor * norm.weight[i];
        row[i] = norm.bias ? value + norm.bias[i] : value;
    }
}

// grid (rows), block 256, shared 4 * width bytes.
//
// x (rows, width) += after(y + bias), then x = last(x), then out = before(x).
// Whatever pointer is null is left out. With `chosen`, block i works on row
// chosen[i], x stays as it was, and row i of `out` is written. `layers` says
// which are layer norms: bit 0 after, 1 last, 2 before.
template <typename Y, typename A>
static __device__ void add_norm(float *x, const Y *y, const float *bias, const float *after,
                                const float *after_bias, const float *last,
                                const float *last_bias, const float *before,
                                const float *before_bias, A *out, const uint32_t *chosen,
                                uint32_t width, uint32_t layers, float after_eps,
                                float last_eps, float before_eps) {
    __shared__ float scratch[WARP];
    DYNAMIC_SHARED(float, row);
    uint64_t from = (uint64_t)(chosen ? chosen[blockIdx.x] : blockIdx.x) * width;
    uint64_t to = (uint64_t)blockIdx.x * width;
    if (y) {
        for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) {
            float value = widen(y[from + i]);
            row[i] = bias ? value + bias[i] : value;
        }
        if (after) normalize(row, width, {after, after_bias, after_eps, (layers & 1) != 0}, scratch);
        for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) row[i] += x[from + i];
    } else {
        for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) row[i] = x[from + i];
    }
    if (last) normalize(row, width, {last, last_bias, last_eps, (layers & 2) != 0}, scratch);
    if (!chosen && (y || last)) {
        for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) x[from + i] = row[i];
    }
    if (!out) return;
    if (before) normalize(row, width, {before, before_bias, before_eps, (layers & 4) != 0}, scratch);
    for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) out[to + i] = narrow<A>(row[i]);
}

#define ADD_NORM(y_name, Y, a_name, A)                                                     \
    extern "C" __global__ void add_norm_##y_name##_##a_name(                               \
        float *x, const Y *y, const float *bias, const float *after,                       \
        const float *after_bias, const float *last, const float *last_bias,                \
        const float *before, const float *before_bias, A *out, const uint32_t *chosen,     \
        uint32_t width, uint32_t layers, float after_eps, float last_eps,                  \
        float before_eps) {                                                                \
        add_norm<Y, A>(x, y, bias, after, after_bias, last, last_bias, before,             \
                       before_bias, out, chosen, width, layers, after_eps, last_eps,       \
                       before_eps);                                                        \
    }
FOR_EACH_PAIR(ADD_NORM)

// grid (rows), block 256, shared 4 * width bytes. Normalises `width` numbers
// at the beginning of each row of `x`, whose rows are `stride` apart, where
// they are, after `bias` was added.
template <typename A>
static __device__ void norm_rows(A *x, const float *bias, const float *weight,
                                 const float *weight_bias, uint32_t width, uint32_t stride,
                                 uint32_t layer, float eps) {
    __shared__ float scratch[WARP];
    DYNAMIC_SHARED(float, row);
    x += (uint64_t)blockIdx.x * stride;
    for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) {
        float value = widen(x[i]);
        row[i] = bias ? value + bias[i] : value;
    }
    normalize(row, width, {weight, weight_bias, eps, layer != 0}, scratch);
    for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) x[i] = narrow<A>(row[i]);
}

#define NORM_ROWS(name, A)                                                                 \
    extern "C" __global__ void norm_rows_##name(                                           \
        A *x, const float *bias, const float *weight, const float *weight_bias,            \
        uint32_t width, uint32_t stride, uint32_t layer, float eps) {                      \
        norm_rows<A>(x, bias, weight, weight_bias, width, stride, layer, eps);             \
    }
FOR_EACH_TYPE(NORM_ROWS)
