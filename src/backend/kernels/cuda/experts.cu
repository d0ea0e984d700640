// Mixtures of experts: which rows go to which experts, and how what the experts
// give is added up. The products between are in the files beside this one.

#include "experts.cuh"

// Larger for larger numbers, equal for equal ones, and least for what is none.
static __device__ __forceinline__ uint32_t rank_of(float x) {
    if (x != x) return 0;
    // -0 and 0 are equal.
    uint32_t bits = (uint32_t)__float_as_int(x + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// grid (ceil(rows / 4)), block 128: a warp has a row. Chooses as Routing::choose:
// the `chosen` highest of the row's `experts` logits, the highest first and of
// equal ones the first, to `ids` (rows, chosen); `weights` is their softmax over
// those, or over all where not `normalised`. What is no number is below all, but
// makes all weights of its row no number. Rows whose slot of the cache is none
// (`slots`, unless that is null) only fill a step up and choose NO_EXPERT.
extern "C" __global__ void route_experts(const float *logits, const uint32_t *slots,
                                         uint32_t *ids, float *weights, uint32_t rows,
                                         uint32_t experts, uint32_t chosen,
                                         uint32_t normalised) {
    const uint32_t row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    const uint32_t lane = threadIdx.x % WARP;
    if (row >= rows) return;
    const float *x = logits + (uint64_t)row * experts;
    ids += (uint64_t)row * chosen;
    weights += (uint64_t)row * chosen;
    if (slots && slots[row] == 0xffffffffu) {
        for (uint32_t i = lane; i < chosen; i += WARP) {
            ids[i] = NO_EXPERT;
            weights[i] = 0.0f;
        }
        return;
    }
    // Ranks and places of the last one that was chosen: others come behind it.
    uint32_t last = 0xffffffffu, last_at = 0;
    for (uint32_t i = 0; i < chosen; i++) {
        uint32_t best = 0, best_at = NO_EXPERT;
        for (uint32_t at = lane; at < experts; at += WARP) {
            const uint32_t rank = rank_of(x[at]);
            const bool left = rank < last || (rank == last && at > last_at);
            if (left && (rank > best || (rank == best && at < best_at))) {
                best = rank;
                best_at = at;
            }
        }
        for (int apart = WARP / 2; apart > 0; apart /= 2) {
            const uint32_t rank = __shfl_xor_sync(ALL_LANES, best, apart);
            const uint32_t at = __shfl_xor_sync(ALL_LANES, best_at, apart);
            if (rank > best || (rank == best && at < best_at)) {
                best = rank;
                best_at = at;
            }
        }
        last = best;
        last_at = best_at;
        if (lane == 0) ids[i] = best_at;
    }
    // What lane 0 wrote is read by all.
    __syncwarp();
    const float highest = x[ids[0]];
    float total = 0.0f;
    bool broken = false;
    for (uint32_t at = lane; at < experts; at += WARP) {
        broken = broken || x[at] != x[at];
        if (!normalised) total += expf(x[at] - highest);
    }
    broken = __any_sync(ALL_LANES, broken);
    if (normalised) {
        for (uint32_t i = 0; i < chosen; i++) total += expf(x[ids[i]] - highest);
    } else {
        total = warp_sum(total);
    }
    for (uint32_t i = lane; i < chosen; i += WARP)
        weights[i] = broken ? NAN : expf(x[ids[i]] - highest) / total;
}

// grid (experts), block 512. Sorts the choices `ids` (n) by expert, those of one
// expert in their own order: `starts` (experts + 1), `order` (n) by slot,
// `slot_of` (n) by choice, which is left out for NO_EXPERT. Tiles of `tile` slots
// go to `tiles` (entries, 2). With `by_slot` there is an entry for each slot, of
// which those count that begin a tile; otherwise a tile of expert e stands from
// starts[e] / tile + e on, which leaves room for all before it, and there are
// n / tile + experts entries.
extern "C" __global__ void list_experts(const uint32_t *ids, uint32_t *starts, uint32_t *order,
                                        uint32_t *slot_of, uint32_t *tiles, uint32_t n,
                                        uint32_t tile, uint32_t entries, uint32_t by_slot) {
    __shared__ uint32_t below[WARP], mine[WARP];
    const uint32_t expert = blockIdx.x, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const uint32_t warps = blockDim.x / WARP;
    // A warp takes choices side by side, so that they stay in order.
    const uint32_t share = (n + blockDim.x - 1) / blockDim.x * WARP;
    const uint32_t begin = min(warp * share, n), end = min(begin + share, n);
    uint32_t less = 0, equal = 0;
#pragma unroll 4
    for (uint32_t i = begin; i < end; i += WARP) {
        const uint32_t id = i + lane < end ? ids[i + lane] : NO_EXPERT;
        less += __popc(__ballot_sync(ALL_LANES, id < expert));
        equal += __popc(__ballot_sync(ALL_LANES, id == expert));
    }
    if (lane == 0) {
        below[warp] = less;
        mine[warp] = equal;
    }
    __syncthreads();
    uint32_t start = 0, before = 0, count = 0;
    for (uint32_t w = 0; w < warps; w++) {
        if (w < warp) before += mine[w];
        start += below[w];
        count += mine[w];
    }
    uint32_t next = start + before;
    if (equal > 0) {
        for (uint32_t i = begin; i < end; i += WARP) {
            const bool here = i + lane < end && ids[i + lane] == expert;
            const uint32_t all = __ballot_sync(ALL_LANES, here);
            if (here) {
                const uint32_t slot = next + __popc(all & ((1u << lane) - 1));
                order[slot] = i + lane;
                slot_of[i + lane] = slot;
            }
            next += __popc(all);
        }
    }
    const bool is_last = expert + 1 == gridDim.x;
    if (threadIdx.x == 0) {
        starts[expert] = start;
        if (is_last) starts[expert + 1] = start + count;
    }
    const uint32_t first = by_slot ? start : start / tile + expert;
    const uint32_t behind = by_slot ? start + count : (start + count) / tile + expert + 1;
    for (uint32_t t = first + threadIdx.x; t < (is_last ? entries : behind); t += blockDim.x) {
        const uint32_t slot = by_slot ? t : start + (t - first) * tile;
        const bool begins = slot < start + count && (slot - start) % tile == 0;
        tiles[2 * t] = begins ? expert : NO_EXPERT;
        tiles[2 * t + 1] = slot;
    }
}

// grid (rows, ceil(width / 256)), block 256. out (rows, width) = the results of
// each row's choices, which `y` (slots, width) has, times their weights, in the
// order of its choices; and the row of `shared`, unless that is null, times the
// sigmoid of its number in `shares`.
extern "C" __global__ void combine_experts(const float *y, const uint32_t *ids,
                                           const float *weights, const uint32_t *slot_of,
                                           const float *shared, const float *shares, float *out,
                                           uint32_t width, uint32_t chosen) {
    const uint32_t i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i >= width) return;
    const uint64_t row = blockIdx.x;
    float sum = 0.0f;
#pragma unroll 4
    for (uint32_t c = 0; c < chosen; c++) {
        const uint64_t choice = row * chosen + c;
        if (ids[choice] == NO_EXPERT) continue;
        sum += weights[choice] * y[(uint64_t)slot_of[choice] * width + i];
    }
    if (shared) sum += shared[row * width + i] / (1.0f + expf(-shares[row]));
    out[row * width + i] = sum;
}
