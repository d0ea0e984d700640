// Products with matrices of eight-bit floats (E4M3), and their rows as numbers.
//
// A matrix is `codes` (outputs, columns), columns a multiple of 16, aligned to
// 16 bytes, and `scales` (outputs, ceil(columns / group)) f32, one for each
// `group` columns of a row: all of them, or a multiple of CHUNK. A row with a
// code for NaN has NaN for a scale instead, so codes are read as numbers here.

#include "float8.cuh"

// Columns that a warp takes at a time.
#define CHUNK 128
// Of a block.
#define WARPS 8

// The number in the lower or the upper half of a register.
static __device__ __forceinline__ float half_of(uint32_t both, int upper) {
    return __uint_as_float(upper ? both & 0xffff0000u : both << 16);
}

// y (rows, outputs), rows of it `y_stride` apart = x (rows, columns) times the
// matrix transposed, for up to 8 * TILES rows. x is aligned to 16 bytes.
//
// grid (ceil(outputs / (16 * WARPS / split))), block 32 * WARPS: a warp has 16
// outputs, `split` warps, which divide WARPS, share the chunks of a row. Which
// of a warp's columns go into one step of the tensor cores is up to us, as long
// as weights and rows agree: a lane takes 16 that lie together.
template <typename Y, int TILES>
static __device__ __forceinline__ void multiply(const uint8_t *codes, const float *scales,
                                                const bf16 *x, Y *y, uint32_t outputs,
                                                uint32_t columns, uint32_t group, uint32_t rows,
                                                uint32_t y_stride, uint32_t split) {
    __shared__ float partial[WARPS * TILES * 4 * WARP];
    const uint32_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const uint32_t g = lane / 4, t = lane % 4, part = warp % split;
    const uint32_t output = (blockIdx.x * (WARPS / split) + warp / split) * 16 + g;
    const uint32_t groups = (columns + group - 1) / group, chunks = (columns + CHUNK - 1) / CHUNK;
    // Past the end the last row again, whose sums are not written.
    const uint32_t own[2] = {min(output, outputs - 1), min(output + 8, outputs - 1)};

    // Weights of the next chunk are on their way while one is multiplied.
    Words ahead[4];
    auto load = [&](uint32_t chunk) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            uint32_t column = chunk * CHUNK + i / 2 * 64 + t * 16;
            ahead[i] = load_words(codes + (uint64_t)own[i % 2] * columns + column,
                                  chunk < chunks && column < columns);
        }
    };
    float sums[TILES][4];
#pragma unroll
    for (int n = 0; n < TILES; n++)
        for (int i = 0; i < 4; i++) sums[n][i] = 0.0f;
    // With four tiles there are no registers for it.
    constexpr bool EARLY = TILES < 4;
    if (EARLY) load(part);
    for (uint32_t chunk = part; chunk < chunks; chunk += split) {
        if (!EARLY) load(chunk);
        Words held[4];
#pragma unroll
        for (int i = 0; i < 4; i++) held[i] = ahead[i];
        if (EARLY) load(chunk + split);
        const uint32_t at = chunk * CHUNK / group;
        const float scale[2] = {scales[(uint64_t)own[0] * groups + at],
                                scales[(uint64_t)own[1] * groups + at]};
        float parts[TILES][4];
#pragma unroll
        for (int n = 0; n < TILES; n++)
            for (int i = 0; i < 4; i++) parts[n][i] = 0.0f;
#pragma unroll
        for (int eight = 0; eight < 4; eight++) {
            // Eight columns of each row of x, which are two steps.
            const int half = eight / 2, first = eight % 2 * 2;
            const uint32_t column = chunk * CHUNK + half * 64 + t * 16 + first * 4;
            Words values[TILES];
#pragma unroll
            for (int n = 0; n < TILES; n++) {
                const uint32_t row = n * 8 + g;
                const bf16 *from = x + (uint64_t)row * columns + column;
                values[n] = {};
                if (row < rows && column < columns)
                    values[n] = *reinterpret_cast<const Words *>(from);
            }
#pragma unroll
            for (int q = 0; q < 2; q++) {
                uint32_t a0, a1, a2, a3;
                widen_codes(held[2 * half].w[first + q], a0, a2);
                widen_codes(held[2 * half + 1].w[first + q], a1, a3);
#pragma unroll
                for (int n = 0; n < TILES; n++)
                    mma<bf16>(parts[n], a0, a1, a2, a3, values[n].w[2 * q],
                              values[n].w[2 * q + 1]);
            }
        }
#pragma unroll
        for (int n = 0; n < TILES; n++)
            for (int i = 0; i < 4; i++)
                sums[n][i] = fmaf(parts[n][i], scale[i / 2], sums[n][i]);
    }
    if (split > 1) {
#pragma unroll
        for (int i = 0; i < TILES * 4; i++)
            partial[(warp * TILES * 4 + i) * WARP + lane] = sums[i / 4][i % 4];
        __syncthreads();
        if (part > 0) return;
        for (uint32_t other = warp + 1; other < warp + split; other++)
#pragma unroll
            for (int i = 0; i < TILES * 4; i++)
                sums[i / 4][i % 4] += partial[(other * TILES * 4 + i) * WARP + lane];
    }
#pragma unroll
    for (int n = 0; n < TILES; n++)
        for (int i = 0; i < 4; i++) {
            const uint32_t row = n * 8 + t * 2 + i % 2, to = output + i / 2 * 8;
            if (row < rows && to < outputs)
                y[(uint64_t)row * y_stride + to] = narrow<Y>(sums[n][i]);
        }
}

#define MULTIPLY(suffix, type, tiles)                                                      \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, (tiles) == 1 ? 3 : 2)                            \
        float8_##suffix##_##tiles(                                                         \
            const uint8_t *__restrict__ codes, const float *__restrict__ scales,           \
            const bf16 *__restrict__ x, type *__restrict__ y, uint32_t outputs,            \
            uint32_t columns, uint32_t group, uint32_t rows, uint32_t y_stride,            \
            uint32_t split) {                                                              \
        multiply<type, tiles>(codes, scales, x, y, outputs, columns, group, rows, y_stride, \
                              split);                                                      \
    }
#define MULTIPLY_EACH(suffix, type)                                                        \
    MULTIPLY(suffix, type, 1) MULTIPLY(suffix, type, 2) MULTIPLY(suffix, type, 4)
MULTIPLY_EACH(f32, f32)
MULTIPLY_EACH(bf16, bf16)

// out (rows, columns) = rows `first` and following of the matrix, aligned to 16
// bytes. grid (ceil(rows * columns / 8 / 256)), block 256.
extern "C" __global__ void expand_float8_bf16(const uint8_t *__restrict__ codes,
                                              const float *__restrict__ scales,
                                              bf16 *__restrict__ out, uint32_t first,
                                              uint32_t rows, uint32_t columns, uint32_t group) {
    const uint64_t at = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
    const uint32_t eights = columns / 8, column = at % eights * 8;
    const uint64_t row = at / eights;
    if (row >= rows) return;
    const uint32_t groups = (columns + group - 1) / group;
    const uint2 from =
        *reinterpret_cast<const uint2 *>(codes + (first + row) * columns + column);
    const float scale = scales[(first + row) * groups + column / group];
    uint32_t pairs[4];
    widen_codes(from.x, pairs[0], pairs[1]);
    widen_codes(from.y, pairs[2], pairs[3]);
    Words scaled;
#pragma unroll
    for (int i = 0; i < 4; i++)
        scaled.w[i] = pack<bf16>(half_of(pairs[i], 0) * scale, half_of(pairs[i], 1) * scale);
    *reinterpret_cast<Words *>(out + row * columns + column) = scaled;
}

// out (n, columns) f32 = the rows that `ids` (n) name, times `multiplier`; NaN
// for an id that is no row. grid (n, ceil(columns / 1024)), block 256.
extern "C" __global__ void gather_float8(const uint8_t *__restrict__ codes,
                                         const float *__restrict__ scales,
                                         const uint32_t *__restrict__ ids,
                                         float *__restrict__ out, uint32_t rows,
                                         uint32_t columns, uint32_t group, float multiplier) {
    const uint32_t column = (blockIdx.y * blockDim.x + threadIdx.x) * 4;
    if (column >= columns) return;
    const uint32_t row = ids[blockIdx.x], groups = (columns + group - 1) / group;
    uint32_t pairs[2] = {0, 0};
    float scale = NAN;
    if (row < rows) {
        const uint64_t at = (uint64_t)row * columns + column;
        widen_codes(*reinterpret_cast<const uint32_t *>(codes + at), pairs[0], pairs[1]);
        scale = scales[(uint64_t)row * groups + column / group] * multiplier;
    }
    float *to = out + (uint64_t)blockIdx.x * columns + column;
#pragma unroll
    for (int i = 0; i < 4; i++) to[i] = half_of(pairs[i / 2], i % 2) * scale;
}
