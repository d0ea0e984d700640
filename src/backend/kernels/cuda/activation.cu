// The middle of a feed-forward layer, and casts.

#include "common.cuh"

// 0 SiLU, 1 GELU by tanh, 2 GELU by the error function, 3 ReLU.
static __device__ __forceinline__ float activate(float x, uint32_t kind) {
    switch (kind) {
    case 0: return x / (1.0f + expf(-x));
    case 1: {
        // sqrt(2 / pi), as in arXiv:1606.08415.
        float inner = 0.7978845608028654f * x * (1.0f + 0.044715f * x * x);
        return 0.5f * x * (1.0f + tanhf(inner));
    }
    case 2: return 0.5f * x * (1.0f + erff(x * 0.7071067811865476f));
    // A comparison, so that NaN stays.
    default: return x < 0.0f ? 0.0f : x;
    }
}

// grid (rows, ceil(width / 256)), block 256. out (rows, width) =
// act(gate + gate_bias) * (up + up_bias), or act(up + up_bias) where `gate` is
// null. Rows of gate and up are `stride` apart.
template <typename A>
static __device__ void gated(const A *gate, const A *up, const float *gate_bias,
                             const float *up_bias, A *out, uint32_t width, uint32_t stride,
                             uint32_t kind) {
    uint32_t i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i >= width) return;
    uint64_t from = (uint64_t)blockIdx.x * stride + i;
    float value = widen(up[from]);
    if (up_bias) value += up_bias[i];
    if (gate) {
        float g = widen(gate[from]);
        if (gate_bias) g += gate_bias[i];
        value *= activate(g, kind);
    } else {
        value = activate(value, kind);
    }
    out[(uint64_t)blockIdx.x * width + i] = narrow<A>(value);
}

#define GATED(name, A)                                                                     \
    extern "C" __global__ void gated_##name(                                               \
        const A *gate, const A *up, const float *gate_bias, const float *up_bias, A *out,  \
        uint32_t width, uint32_t stride, uint32_t kind) {                                  \
        gated<A>(gate, up, gate_bias, up_bias, out, width, stride, kind);                  \
    }
FOR_EACH_TYPE(GATED)

// grid (ceil(len / 256)), block 256: to[i] = from[i].
#define CONVERT(from_name, From, to_name, To)                                              \
    extern "C" __global__ void convert_##from_name##_##to_name(const From *from, To *to,   \
                                                               uint32_t len) {             \
        uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;                                \
        if (i < len) to[i] = narrow<To>(widen(from[i]));                                   \
    }
FOR_EACH_PAIR(CONVERT)

// grid (ceil(len / 256)), block 256: x = cap * tanh((x + bias) / cap) where a
// cap is given (arXiv:2408.00118); row-wise bias of `width` numbers, or null.
extern "C" __global__ void finish_logits(float *x, const float *bias, uint32_t width,
                                         uint32_t len, float cap) {
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= len) return;
    float value = bias ? x[i] + bias[i % width] : x[i];
    x[i] = cap > 0.0f ? cap * tanhf(value / cap) : value;
}
