// Products with quantized weights, and their rows as numbers.
//
// Matrices of weights are (rows, columns), columns a multiple of 32, in one of
// the layouts of blocks.cuh; `factors` has one f32 a row. Pointers of layouts
// without high bits are not read.

#include "blocks.cuh"

// The products of few rows with a matrix take activations as signed bytes, one
// scale for 32 columns: `q` (n, columns), in each row the first halves of all
// blocks and then the second ones, aligned to 16 bytes; `steps` (n, columns / 32)
// pairs of f32: the scale, and the scale times the sum of the block's bytes.
//
// grid (n, ceil(columns / 1024)), block 256. Rows of x are `stride` apart. A
// block with a number that is not finite makes NaN of every product.
template <typename A>
static __device__ void quantize_rows(const A *x, int8_t *q, float2 *steps, uint32_t columns,
                                     uint32_t stride) {
    uint32_t column = (blockIdx.y * blockDim.x + threadIdx.x) * 4, blocks = columns / BLOCK;
    uint64_t row = blockIdx.x;
    bool inside = column < columns;
    float values[4];
    float largest = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        values[i] = inside ? widen(x[row * stride + column + i]) : 0.0f;
        float size = fabsf(values[i]);
        largest = fmaxf(largest, size < INFINITY ? size : INFINITY);
    }
    // Eight threads have a block.
    for (int apart = 4; apart > 0; apart /= 2)
        largest = fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, apart));
    // Below it the inverse would overflow.
    float scale = largest > 1e-30f ? largest / 127.0f : 0.0f;
    float inverse = scale > 0.0f && scale < INFINITY ? 1.0f / scale : 0.0f;
    int sum = 0;
    uint32_t word = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int byte = inverse > 0.0f ? __float2int_rn(values[i] * inverse) : 0;
        byte = min(127, max(-127, byte));
        sum += byte;
        word |= (uint32_t)(byte & 0xff) << (8 * i);
    }
    for (int apart = 4; apart > 0; apart /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, apart);
    if (!inside) return;
    uint32_t b = column / BLOCK, half = column % BLOCK / 16;
    uint64_t at = row * columns + (half * blocks + b) * 16 + column % 16;
    *reinterpret_cast<uint32_t *>(q + at) = word;
    if (threadIdx.x % 8 == 0) steps[row * blocks + b] = make_float2(scale, scale * (float)sum);
}

// Sums of all lanes: lane l gets that of values[l * LEN / 32]. Each step folds
// half of the values onto the other half of the lanes.
template <int LEN>
static __device__ __forceinline__ float fold(const float (&values)[LEN], int apart = WARP / 2) {
    if constexpr (LEN == 1) {
        float sum = values[0];
        for (; apart > 0; apart /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, apart);
        return sum;
    } else {
        bool upper = threadIdx.x & apart;
        float sums[LEN / 2];
#pragma unroll
        for (int i = 0; i < LEN / 2; i++) {
            float given = upper ? values[i] : values[i + LEN / 2];
            float kept = upper ? values[i + LEN / 2] : values[i];
            sums[i] = kept + __shfl_xor_sync(ALL_LANES, given, apart);
        }
        return fold<LEN / 2>(sums, apart / 2);
    }
}

// Rows that a warp multiplies at a time.
#define ROWS_OF_WARP 2
// Blocks of 256 threads that a multiprocessor is to have room for.
#define RESIDENT(N) ((N) <= 2 ? 4 : 3)

static constexpr int power_of_two(int n) { return n <= 1 ? 1 : 2 * power_of_two((n + 1) / 2); }

// y (N, rows), rows of it `y_stride` apart = the N rows of activations, at most 4, times
// the matrix transposed, plus bias (rows) unless that is null.
//
// block: 32 times `warps`, at most 256; `split`, which divides `warps`, warps
// share the columns of a row. grid (ceil(rows / (ROWS_OF_WARP * warps / split))).
template <typename L, int N>
static __device__ __forceinline__ void matvec(const Matrix m, const float *factors,
                                              const int8_t *q, const float2 *steps,
                                              const float *bias, float *y, uint32_t rows,
                                              uint32_t y_stride, uint32_t split) {
    constexpr int ROWS = ROWS_OF_WARP, LEN = power_of_two(ROWS * N);
    // Blocks of each row that are on their way at a time: four loads of 16 bytes.
    [[maybe_unused]] constexpr int AHEAD = 4 / ROWS;
    __shared__ float partial[8 * LEN];
    uint32_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, part = warp % split;
    uint32_t first = (blockIdx.x * (blockDim.x / WARP / split) + warp / split) * ROWS;
    const uint4 *x = reinterpret_cast<const uint4 *>(q);
    float sums[LEN];
#pragma unroll
    for (int i = 0; i < LEN; i++) sums[i] = 0.0f;
#pragma unroll AHEAD
    for (uint32_t b = part * WARP + lane; b < m.blocks; b += split * WARP) {
        Held held[ROWS];
        int w[ROWS][8];
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            // Past the end the last row again, whose sums are not written.
            held[r] = L::load(m, min(first + r, rows - 1), b);
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++) L::unpack(held[r], w[r]);
#pragma unroll
        for (int n = 0; n < N; n++) {
            uint4 low = x[2 * n * m.blocks + b], high = x[(2 * n + 1) * m.blocks + b];
            float2 step = steps[n * m.blocks + b];
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                float &sum = sums[n * ROWS + r];
                sum = L::add(sum, w[r], held[r].scales, low, high, step);
            }
        }
    }
    float sum = fold<LEN>(sums);
    uint32_t index = lane / (WARP / LEN);
    if (split > 1) {
        if (lane % (WARP / LEN) == 0) partial[warp * LEN + index] = sum;
        __syncthreads();
        if (part > 0) return;
        sum = 0.0f;
        for (uint32_t other = 0; other < split; other++)
            sum += partial[(warp + other) * LEN + index];
    }
    uint32_t n = index / ROWS, row = first + index % ROWS;
    if (lane % (WARP / LEN) > 0 || n >= N || row >= rows) return;
    sum *= factors[row];
    if (bias) sum += bias[row];
    y[(uint64_t)n * y_stride + row] = sum;
}

// out (rows, columns) = rows `first` and following of the matrix. grid
// (ceil(rows * columns / 8 / 256)), block 256. out is aligned to 16 bytes.
template <typename L, typename A>
static __device__ void expand(const Matrix m, const float *factors, A *out, uint32_t first,
                              uint32_t rows) {
    struct alignas(16) Eight {
        A values[8];
    };
    uint64_t at = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
    uint32_t eights = m.blocks * 4, eight = at % eights;
    uint64_t row = at / eights;
    if (row >= rows) return;
    float values[8];
    L::eight(m, first + (uint32_t)row, eight / 4, eight % 4, values);
    float factor = factors[first + row];
    Eight narrowed;
#pragma unroll
    for (int i = 0; i < 8; i++) narrowed.values[i] = narrow<A>(values[i] * factor);
    reinterpret_cast<Eight *>(out)[at] = narrowed;
}

// out (n, columns) f32 = the rows that `ids` (n) name, times `multiplier`; NaN
// for an id that is no row. grid (n, ceil(columns / 1024)), block 128.
template <typename L>
static __device__ void gather(const Matrix m, const float *factors, const uint32_t *ids,
                              float *out, uint32_t rows, float multiplier) {
    uint32_t eight = blockIdx.y * blockDim.x + threadIdx.x;
    if (eight >= m.blocks * 4) return;
    uint32_t row = ids[blockIdx.x];
    float values[8];
    float factor = NAN;
    if (row < rows) {
        L::eight(m, row, eight / 4, eight % 4, values);
        factor = factors[row];
    }
    float *to = out + ((uint64_t)blockIdx.x * m.blocks * 4 + eight) * 8;
#pragma unroll
    for (int i = 0; i < 8; i++) to[i] = row < rows ? values[i] * factor * multiplier : NAN;
}

// The same for a table (rows, columns) that is not quantized, of any number of
// columns. grid (n, ceil(columns / 1024)), block 256.
template <typename T>
static __device__ void gather_dense(const T *table, const uint32_t *ids, float *out,
                                    uint32_t rows, uint32_t columns, float multiplier) {
    uint32_t row = ids[blockIdx.x];
    uint32_t end = min((blockIdx.y + 1) * 1024, columns);
    for (uint32_t c = blockIdx.y * 1024 + threadIdx.x; c < end; c += blockDim.x) {
        float value = row < rows ? widen(table[(uint64_t)row * columns + c]) : NAN;
        out[(uint64_t)blockIdx.x * columns + c] = value * multiplier;
    }
}

#define QUANTIZE_ROWS(suffix, type)                                                        \
    extern "C" __global__ void quantize_rows_##suffix(                                     \
        const type *__restrict__ x, int8_t *__restrict__ q, float2 *__restrict__ steps,    \
        uint32_t columns, uint32_t stride) {                                               \
        quantize_rows(x, q, steps, columns, stride);                                       \
    }
FOR_EACH_TYPE(QUANTIZE_ROWS)

#define MATVEC(layout, Layout, n)                                                          \
    extern "C" __global__ void __launch_bounds__(256, RESIDENT(n))                         \
        matvec_##layout##_f32_##n(                                                         \
            const uint8_t *__restrict__ codes, const uint8_t *__restrict__ high,           \
            const uint16_t *__restrict__ scales, const float *__restrict__ factors,        \
            const int8_t *__restrict__ q, const float2 *__restrict__ steps,                \
            const float *__restrict__ bias, float *__restrict__ y, uint32_t rows,          \
            uint32_t columns, uint32_t y_stride, uint32_t split) {                         \
        matvec<Layout, n>({codes, high, scales, columns / BLOCK}, factors, q, steps, bias, \
                          y, rows, y_stride, split);                                       \
    }
#define MATVECS(layout, Layout)                                                            \
    MATVEC(layout, Layout, 1) MATVEC(layout, Layout, 2) MATVEC(layout, Layout, 3)          \
    MATVEC(layout, Layout, 4)

#define EXPAND(layout, Layout, suffix, type)                                               \
    extern "C" __global__ void expand_##layout##_##suffix(                                 \
        const uint8_t *__restrict__ codes, const uint8_t *__restrict__ high,               \
        const uint16_t *__restrict__ scales, const float *__restrict__ factors,            \
        type *__restrict__ out, uint32_t first, uint32_t rows, uint32_t columns) {         \
        expand<Layout>({codes, high, scales, columns / BLOCK}, factors, out, first, rows); \
    }

#define GATHER(layout, Layout)                                                             \
    extern "C" __global__ void gather_##layout(                                            \
        const uint8_t *__restrict__ codes, const uint8_t *__restrict__ high,               \
        const uint16_t *__restrict__ scales, const float *__restrict__ factors,            \
        const uint32_t *__restrict__ ids, float *__restrict__ out, uint32_t rows,          \
        uint32_t columns, float multiplier) {                                              \
        gather<Layout>({codes, high, scales, columns / BLOCK}, factors, ids, out, rows,    \
                       multiplier);                                                        \
    }

#define OF_LAYOUT(layout, Layout)                                                          \
    MATVECS(layout, Layout) EXPAND(layout, Layout, f32, f32)                               \
    EXPAND(layout, Layout, f16, f16) EXPAND(layout, Layout, bf16, bf16)                    \
    GATHER(layout, Layout)
FOR_EACH_LAYOUT(OF_LAYOUT)

#define GATHER_DENSE(suffix, type)                                                         \
    extern "C" __global__ void gather_##suffix(                                            \
        const type *__restrict__ table, const uint32_t *__restrict__ ids,                  \
        float *__restrict__ out, uint32_t rows, uint32_t columns, float multiplier) {      \
        gather_dense(table, ids, out, rows, columns, multiplier);                          \
    }
FOR_EACH_TYPE(GATHER_DENSE)
