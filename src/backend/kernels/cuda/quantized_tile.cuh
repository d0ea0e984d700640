// Products of quantized weights with 5 to some hundred rows of activations on tensor
// cores: a block of 256 threads has 128 outputs and N = 8, 16, 32 or 64 rows.
//
// Weights and activations come to shared memory by units of 128 columns, several
// ahead, and each weight is read once for N rows. Products are in signed bytes, as
// those of quantized.cu, and the scales of weights and activations are applied to
// each block's. That, four operations for 32 columns of one result, takes about three
// times as long as the tensor cores do.
//
// Order of sums: columns are cut into chains of units, one for each block along z. A
// chain is summed from its first unit to its last, and the chains' sums are added in
// their order by the block that is done last. So a row's result depends on the length
// of chains alone: not on N, on the other rows, or on which block is last.
#pragma once

#include "staged.cuh"

// Rows of activations as quantize_rows leaves them: row i is `list[i]` of q and steps,
// or i where there is no list.
struct QuantizedRows {
    const int8_t *q;
    const float2 *steps;
    const uint32_t *list;
    uint32_t rows;
};

template <typename L, int N> struct QuantizedTile {
    typedef Staged<L> Weights;
    // Warps side by side; a warp has M times 16 outputs and COLUMNS times 8 rows.
    static constexpr int ACROSS = N > 16 ? 2 : 1;
    static constexpr int M = ACROSS, COLUMNS = N / 8 / ACROSS;
    // A stage: weights, bytes of activations, steps (UNIT, N).
    static constexpr int Q = Weights::BYTES, STEPS = Q + N * UNIT * 32;
    static constexpr int STAGE = STEPS + N * UNIT * 8;
    // Two blocks of the widest fit into a multiprocessor of compute capability 8.0 so.
    static constexpr int STAGES = N > 32 ? 3 : Weights::STAGES;
    static constexpr int SHARED = STAGES * STAGE;
    static_assert(M * 16 * (TILE_THREADS / WARP / ACROSS) == TILE_OUTPUTS, "warps have all");

    typedef float Sums[M][COLUMNS][4];

    // Copies of activations.
    struct Rows {
        static constexpr int EACH = (N * 8 + TILE_THREADS - 1) / TILE_THREADS;
        static_assert(N * UNIT <= TILE_THREADS, "a thread copies one step");
        uint32_t at[EACH], step;
        // Bit j: at[j] is there, and bit EACH: the step.
        uint32_t there;

        __device__ __forceinline__ Rows(const Matrix &m, const QuantizedRows &x, uint32_t first) {
            const uint32_t half = threadIdx.x % 8 / UNIT, c = threadIdx.x % UNIT;
            there = 0;
#pragma unroll
            for (int j = 0; j <= EACH; j++) {
                const bool steps = j == EACH;
                const uint32_t i = threadIdx.x + (steps ? 0 : j * TILE_THREADS);
                const uint32_t n = i / (steps ? UNIT : 8);
                const bool is = n < N && first + n < x.rows;
                const uint32_t row = !is ? 0 : x.list ? x.list[first + n] : first + n;
                if (steps) step = row * m.blocks + c;
                else at[j] = (row * 2 + half) * m.blocks + c;
                there |= (uint32_t)is << j;
            }
        }
        __device__ __forceinline__ void load(unsigned char *stage, const Matrix &m,
                                             const QuantizedRows &x, uint32_t unit) const {
            const uint32_t c = threadIdx.x % UNIT;
            const bool within = unit * UNIT + c < m.blocks;
#pragma unroll
            for (int j = 0; j < EACH; j++) {
                const uint32_t i = threadIdx.x + j * TILE_THREADS;
                if (N * 8 < TILE_THREADS && i >= N * 8) break;
                const uint64_t from = at[j] + unit * UNIT;
                copy_async(stage + Q + place8(i / 8, i % 8) * 16, x.q + from * 16,
                           within && there >> j & 1);
            }
            if (N * UNIT < TILE_THREADS && threadIdx.x >= N * UNIT) return;
            const uint32_t n = threadIdx.x / UNIT;
            copy_async<8>(stage + STEPS + (c * N + n) * 8, x.steps + step + unit * UNIT,
                          within && there >> EACH & 1);
        }
    };

    // The first output and row of the warp within the tile.
    static __device__ __forceinline__ uint32_t warp_output() {
        return threadIdx.x / WARP / ACROSS * (16 * M);
    }
    static __device__ __forceinline__ uint32_t warp_row() {
        return threadIdx.x / WARP % ACROSS * (8 * COLUMNS);
    }

    // sums += the products of a unit, of whose blocks `left` are there.
    static __device__ __forceinline__ void multiply(Sums &sums, const unsigned char *stage,
                                                    uint32_t left) {
        // Tiles of 8 rows whose activations are loaded at a time; of a single one, two blocks.
        constexpr int TWO = COLUMNS > 1 ? 2 : 1;
        const uint32_t lane = threadIdx.x % WARP, t = lane % 4;
        const uint32_t output = warp_output(), row = warp_row();
        // What the compiler loads early of two pairs is more than the registers of wide tiles.
        [[maybe_unused]] constexpr int AHEAD = N > 16 ? 1 : 2;
#pragma unroll AHEAD
        for (int pair = 0; pair < UNIT / 2; pair++) {
            typename Weights::Pair w[M];
#pragma unroll
            for (int i = 0; i < M; i++) w[i].load(stage, output + 16 * i, pair, left);
            uint32_t b[4];
            if constexpr (TWO == 1) {
                const uint32_t c = lane / 8 % 2 * UNIT + 2 * pair + lane / 16;
                load_matrices<false>(b, stage + Q + place8(row + lane % 8, c) * 16);
            }
#pragma unroll
            for (int block = 0; block < 2; block++) {
                uint32_t a[M][4];
#pragma unroll
                for (int i = 0; i < M; i++) w[i].operands(block, a[i]);
#pragma unroll
                for (int n = 0; n < COLUMNS; n++) {
                    if (TWO == 2 && n % 2 == 0) {
                        const uint32_t c = lane / 8 % 2 * UNIT + 2 * pair + block;
                        const uint32_t r = row + 8 * n + lane / 16 * 8 + lane % 8;
                        load_matrices<false>(b, stage + Q + place8(r, c) * 16);
                    }
                    const int at = TWO == 2 ? n % 2 : block;
                    // Scale and sum of rows 2t and 2t + 1.
                    const uint32_t step = (2 * pair + block) * N + row + 8 * n + 2 * t;
                    const float4 both =
                        *reinterpret_cast<const float4 *>(stage + STEPS + step * 8);
#pragma unroll
                    for (int i = 0; i < M; i++) {
                        int low[4], high[4] = {};
                        if constexpr (L::HALVES) {
                            mma_bytes16(low, a[i][0], a[i][1], b[2 * at], SUM_START);
                            mma_bytes16(high, a[i][2], a[i][3], b[2 * at + 1], SUM_START);
                        } else {
                            mma_bytes32(low, a[i], b[2 * at], b[2 * at + 1], SUM_START);
                        }
#pragma unroll
                        for (int e = 0; e < 4; e++) {
                            float &sum = sums[i][n][e];
                            const float2 s = e % 2 ? make_float2(both.z, both.w)
                                                   : make_float2(both.x, both.y);
                            sum = L::scaled(sum, w[i].first(block, e / 2),
                                            w[i].second(block, e / 2), low[e], high[e], s);
                        }
                    }
                }
            }
        }
    }

    // sums = the products over units `begin` to `end`. `shared` has SHARED bytes; all
    // threads of the block take part, and meet before it is used again.
    static __device__ __forceinline__ void run(Sums &sums, unsigned char *shared,
                                               const Matrix &m, uint32_t output,
                                               uint32_t outputs, const QuantizedRows &x,
                                               uint32_t row, uint32_t begin, uint32_t end) {
        const Weights weights(m, output, outputs);
        const Rows rows(m, x, row);
        const bool idle = row + warp_row() >= x.rows || output + warp_output() >= outputs;
        auto load = [&](uint32_t slot, uint32_t unit) {
            if (unit < end) {
                weights.load(shared + slot * STAGE, m, unit);
                rows.load(shared + slot * STAGE, m, x, unit);
            }
            copies_commit();
        };
        clear(sums);
        for (uint32_t s = 0; s + 1 < STAGES; s++) load(s, begin + s);
        uint32_t slot = 0;
        for (uint32_t unit = begin; unit < end; unit++) {
            copies_wait<STAGES - 2>();
            // All see the copies of all, and are done with the stage that is filled now.
            __syncthreads();
            load(slot == 0 ? STAGES - 1 : slot - 1, unit + STAGES - 1);
            __syncwarp();
            if (!idle) multiply(sums, shared + slot * STAGE, m.blocks - unit * UNIT);
            if (++slot == STAGES) slot = 0;
        }
    }

    static __device__ __forceinline__ void clear(Sums &sums) {
#pragma unroll
        for (int i = 0; i < M * COLUMNS; i++)
#pragma unroll
            for (int e = 0; e < 4; e++) sums[i / COLUMNS][i % COLUMNS][e] = 0.0f;
    }

    // Adds what the blocks along z have, in their order. True for the last to be done,
    // which has the sums. `parts` has room for all blocks' (gridDim.z, M * COLUMNS, 256)
    // float4, `done` is 0, and is again when all are done.
    static __device__ __forceinline__ bool join(Sums &sums, float4 *parts, uint32_t *done) {
        __shared__ uint32_t before;
        constexpr uint32_t LEN = M * COLUMNS * TILE_THREADS;
        float4 *mine = parts + blockIdx.z * LEN + threadIdx.x;
#pragma unroll
        for (int i = 0; i < M * COLUMNS; i++) {
            const float *x = sums[i / COLUMNS][i % COLUMNS];
            __stcg(mine + i * TILE_THREADS, make_float4(x[0], x[1], x[2], x[3]));
        }
        __threadfence();
        __syncthreads();
        if (threadIdx.x == 0) before = atomicAdd(done, 1u);
        __syncthreads();
        if (before + 1 < gridDim.z) return false;
        if (threadIdx.x == 0) *done = 0;
        __threadfence();
        clear(sums);
        for (uint32_t z = 0; z < gridDim.z; z++) {
            const float4 *from = parts + z * LEN + threadIdx.x;
#pragma unroll
            for (int i = 0; i < M * COLUMNS; i++) {
                const float4 x = __ldcg(from + i * TILE_THREADS);
                float(&sum)[4] = sums[i / COLUMNS][i % COLUMNS];
                sum[0] += x.x, sum[1] += x.y, sum[2] += x.z, sum[3] += x.w;
            }
        }
        return true;
    }

    // Calls `put(row, output, sum)` for each of the lane's results that is there.
    template <typename Put>
    static __device__ __forceinline__ void each(const Sums &sums, uint32_t output,
                                                uint32_t outputs, uint32_t row, uint32_t rows,
                                                const Put &put) {
        const uint32_t g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
        output += warp_output() + g;
        row += warp_row() + 2 * t;
#pragma unroll
        for (int i = 0; i < M; i++)
#pragma unroll
            for (int n = 0; n < COLUMNS; n++)
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    const uint32_t o = output + 16 * i + 8 * (e / 2), r = row + 8 * n + e % 2;
                    if (o < outputs && r < rows) put(r, o, sums[i][n][e]);
                }
    }
};
