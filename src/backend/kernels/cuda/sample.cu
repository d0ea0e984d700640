// From logits to tokens. The steps and their meaning are those of
// engine/sampler.rs; sums are of integers, so a row's token depends on nothing
// but the row.

#include "common.cuh"

typedef unsigned long long u64;

#define NO_TOKEN 0xffffffffu
#define THREADS 1024
// Of an id; a vocabulary is smaller than 2^20, so that sums fit too.
#define ID_BITS 20
#define ID_MASK ((1u << ID_BITS) - 1)
// A digit of a key; a thread has a value of it.
#define DIGIT 10
#define BINS (1 << DIGIT)
// The bits of a weight's f32, which is at most 1, and of an id: whole digits.
#define KEY_BITS 50
// Keys that are kept in shared memory.
#define LISTED 2048

// How many keys have a digit, and their mass in two words: shared memory has
// atomic additions of 32 bits only.
struct Bins {
    uint32_t low[BINS], high[BINS], count[BINS];
};

struct Room {
    Bins whole, part;
    u64 list[LISTED], sums[WARP], key, left;
    uint32_t bin, count, listed, ids[WARP];
    float highest[WARP];
};

// A row as keys, of which the larger comes first: the likelier token, the lower
// id among equals. Keys without mass are passed over.
struct Row {
    const float *logits;
    uint32_t len;
    float max, scale;
    // Once `listed`, the keys at and above that bound lie here.
    const u64 *list;
    uint32_t listed;
};

// A weight as an integer. What is below 2^-44 of the likeliest has none.
static __device__ __forceinline__ u64 mass_of(float weight) {
    return (u64)(weight * 17592186044416.0f);
}
static __device__ __forceinline__ u64 key_of(float weight, uint32_t id) {
    return (u64)__float_as_uint(weight) << ID_BITS | (ID_MASK - id);
}
static __device__ __forceinline__ float weight_of(u64 key) {
    return __uint_as_float((uint32_t)(key >> ID_BITS));
}

// Logits of -inf, and NaN, weigh nothing.
static __device__ __forceinline__ float weight_at(const Row &row, uint32_t id) {
    float x = (row.logits[id] - row.max) * row.scale;
    return x > -31.0f ? expf(x) : 0.0f;
}

// Calls `f(key, mass)` with the keys from `least` on, and perhaps some others.
template <typename F>
static __device__ __forceinline__ void visit(const Row &row, u64 least, F f) {
    if (row.list) {
        for (uint32_t i = threadIdx.x; i < row.listed; i += THREADS) {
            u64 key = row.list[i];
            f(key, mass_of(weight_of(key)));
        }
        return;
    }
    // Most logits are so low that they need no exponential.
    float lowest = least ? fmaxf(logf(weight_of(least)) - 1e-3f, -31.0f) : -31.0f;
#pragma unroll 4
    for (uint32_t id = threadIdx.x; id < row.len; id += THREADS) {
        float x = (row.logits[id] - row.max) * row.scale;
        if (x > lowest) {
            float weight = expf(x);
            u64 mass = mass_of(weight);
            if (mass) f(key_of(weight, id), mass);
        }
    }
}

// The sum up to and with this thread's number; `all` becomes that of the block.
static __device__ u64 running_sum(u64 x, Room &room, u64 &all) {
    uint32_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    for (uint32_t apart = 1; apart < WARP; apart *= 2) {
        u64 before = __shfl_up_sync(ALL_LANES, x, apart);
        if (lane >= apart) x += before;
    }
    __syncthreads();
    if (lane == WARP - 1) room.sums[warp] = x;
    __syncthreads();
    u64 sums = room.sums[lane], before = lane < warp ? sums : 0;
    for (int apart = WARP / 2; apart > 0; apart /= 2) {
        sums += __shfl_xor_sync(ALL_LANES, sums, apart);
        before += __shfl_xor_sync(ALL_LANES, before, apart);
    }
    all = sums;
    return before + x;
}

static __device__ __forceinline__ void clear(Bins &bins) {
    bins.low[threadIdx.x] = bins.high[threadIdx.x] = bins.count[threadIdx.x] = 0;
    __syncthreads();
}

static __device__ __forceinline__ void add(Bins &bins, uint32_t bin, u64 mass) {
    uint32_t low = (uint32_t)mass, high = (uint32_t)(mass >> 32);
    uint32_t before = atomicAdd(&bins.low[bin], low);
    if (before + low < before) high++;
    if (high) atomicAdd(&bins.high[bin], high);
    atomicAdd(&bins.count[bin], 1u);
}

// Threads' numbers stand in a row: room.bin becomes the thread, counted by
// `name`, at which their sum passes `target`, NO_TOKEN if none; room.left what
// the target has left there.
static __device__ u64 pass(u64 amount, u64 target, uint32_t name, uint32_t count, Room &room) {
    if (threadIdx.x == 0) room.bin = NO_TOKEN;
    u64 all, sum = running_sum(amount, room, all);
    if (sum > target && sum - amount <= target) {
        room.bin = name;
        room.left = target - (sum - amount);
        room.count = count;
    }
    __syncthreads();
    return all;
}

// The same among bins, the highest first.
static __device__ u64 pass_bins(const Bins &bins, bool by_count, u64 target, Room &room) {
    uint32_t bin = BINS - 1 - threadIdx.x, count = bins.count[bin];
    u64 mass = (u64)bins.high[bin] << 32 | bins.low[bin];
    return pass(by_count ? count : mass, target, bin, count, room);
}

// The key at which the sum of the mass or the count of keys, from the highest
// on, passes `target`; 0 if it never does. Digit by digit; room.whole knows the
// first one.
static __device__ __forceinline__ u64 select(const Row &row, bool by_count, u64 target,
                                             Room &room) {
    pass_bins(room.whole, by_count, target, room);
    u64 prefix = room.bin, left = room.left;
    if (room.bin == NO_TOKEN) return 0;
    int shift = KEY_BITS - DIGIT;
    for (; shift > 0 && room.count > 1; shift -= DIGIT) {
        clear(room.part);
        visit(row, prefix << shift, [&](u64 key, u64 mass) {
            if (key >> shift == prefix)
                add(room.part, key >> (shift - DIGIT) & (BINS - 1), mass);
        });
        __syncthreads();
        pass_bins(room.part, by_count, left, room);
        prefix = prefix << DIGIT | room.bin;
        left = room.left;
    }
    if (shift == 0) return prefix;
    visit(row, prefix << shift, [&](u64 key, u64) {
        if (key >> shift == prefix) room.key = key;
    });
    __syncthreads();
    return room.key;
}

static __device__ __forceinline__ u64 mass_from(const Row &row, u64 least, Room &room) {
    u64 sum = 0, all;
    visit(row, least, [&](u64 key, u64 mass) { sum += key >= least ? mass : 0; });
    running_sum(sum, room, all);
    return all;
}

// The highest logit and the lowest id that has it; -inf and NO_TOKEN if all are
// NaN or -inf.
static __device__ float highest(const float *logits, uint32_t len, Room &room, uint32_t &id) {
    float max = -INFINITY;
    id = NO_TOKEN;
#pragma unroll 4
    for (uint32_t i = threadIdx.x; i < len; i += THREADS) {
        if (logits[i] > max) {
            max = logits[i];
            id = i;
        }
    }
    __syncthreads();
    for (int round = 0; round < 2; round++) {
        for (int apart = WARP / 2; apart > 0; apart /= 2) {
            float other = __shfl_xor_sync(ALL_LANES, max, apart);
            uint32_t other_id = __shfl_xor_sync(ALL_LANES, id, apart);
            if (other > max || (other == max && other_id < id)) {
                max = other;
                id = other_id;
            }
        }
        if (round > 0) break;
        if (threadIdx.x % WARP == 0) {
            room.highest[threadIdx.x / WARP] = max;
            room.ids[threadIdx.x / WARP] = id;
        }
        __syncthreads();
        max = room.highest[threadIdx.x % WARP];
        id = room.ids[threadIdx.x % WARP];
    }
    return max;
}

static __device__ __forceinline__ u64 part_of(u64 sum, double share) {
    u64 part = (u64)(share * (double)sum);
    return part < sum ? part : sum - 1;
}

// From all tokens in the order of their ids: first the 1024 ids at which the
// sum passes its share, then the one among them.
static __device__ __forceinline__ uint32_t draw_by_id(const Row &row, double uniform,
                                                      Room &room) {
    uint32_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    for (uint32_t first = warp; first < THREADS; first += THREADS / WARP) {
        u64 sum = 0;
        uint32_t end = min((first + 1) * THREADS, row.len);
#pragma unroll 4
        for (uint32_t id = first * THREADS + lane; id < end; id += WARP)
            sum += mass_of(weight_at(row, id));
        for (int apart = WARP / 2; apart > 0; apart /= 2)
            sum += __shfl_xor_sync(ALL_LANES, sum, apart);
        if (lane == 0) room.list[first] = sum;
    }
    u64 sum = 0, all;
    __syncthreads();
    sum = room.list[threadIdx.x];
    running_sum(sum, room, all);
    if (all == 0) return NO_TOKEN;
    pass(sum, part_of(all, uniform), threadIdx.x, 0, room);
    uint32_t id = room.bin * THREADS + threadIdx.x;
    u64 left = room.left;
    __syncthreads();
    pass(id < row.len ? mass_of(weight_at(row, id)) : 0, left, id, 0, room);
    return room.bin;
}

// From what the cuts leave, the likeliest first.
static __device__ __forceinline__ uint32_t draw_cut(Row row, uint32_t top_k, float top_p,
                                                    float min_p, double uniform, Room &room) {
    const int first = KEY_BITS - DIGIT;
    u64 least = min_p > 0.0f ? (u64)__float_as_uint(min_p) << ID_BITS : 0;
    clear(room.whole);
    visit(row, 0, [&](u64 key, u64 mass) { add(room.whole, (uint32_t)(key >> first), mass); });
    __syncthreads();
    u64 sum = pass_bins(room.whole, top_k > 0, (u64)top_k - 1, room);
    if (top_k == 0 && top_p < 1.0f) {
        u64 enough = (u64)ceil(fmax(0.0, (double)top_p) * (double)sum);
        pass_bins(room.whole, false, enough > 0 ? enough - 1 : 0, room);
    }
    // Nothing below the bin of the first cut is drawn. If little is above, it is
    // listed, and what follows looks there only.
    uint32_t bin = room.bin == NO_TOKEN ? 0 : room.bin;
    if (top_k == 0 && top_p >= 1.0f) bin = (uint32_t)min(least >> first, (u64)BINS);
    u64 listed;
    uint32_t own = threadIdx.x;
    if (own == 0) room.listed = 0;
    running_sum(own >= bin ? room.whole.count[own] : 0, room, listed);
    if (listed <= LISTED) {
        visit(row, (u64)bin << first, [&](u64 key, u64) {
            if (key >> first >= bin) room.list[atomicAdd(&room.listed, 1u)] = key;
        });
        __syncthreads();
        row.list = room.list;
        row.listed = (uint32_t)listed;
    }
    u64 cut = 0;
    for (int step = 0; step < 3; step++) {
        bool is_top_k = step == 0, is_top_p = step == 1;
        if ((is_top_k && top_k == 0) || (is_top_p && !(top_p < 1.0f))) continue;
        u64 target = (u64)top_k - 1;
        if (!is_top_k) {
            if (!is_top_p && least > cut) cut = least;
            // What was summed for top_k are counts.
            if (cut > 0 || top_k > 0) sum = mass_from(row, cut, room);
            if (sum == 0) return NO_TOKEN;
            if (is_top_p) {
                u64 enough = (u64)ceil(fmax(0.0, (double)top_p) * (double)sum);
                target = enough > 0 ? min(enough, sum) - 1 : 0;
            } else {
                target = part_of(sum, uniform);
            }
        }
        cut = select(row, is_top_k, target, room);
    }
    return ID_MASK - (uint32_t)(cut & ID_MASK);
}

// The logarithm of a token's share of the softmax of all logits.
static __device__ __forceinline__ float log_share(const float *logits, uint32_t len,
                                                  uint32_t token, Room &room) {
    uint32_t id;
    Row row = {logits, len, highest(logits, len, room, id), 1.0f, nullptr, 0};
    double sum = (double)mass_from(row, 0, room) / 17592186044416.0;
    return (float)((double)(logits[token] - row.max) - log(sum));
}

// tokens (n) = a token drawn from each of the rows `rows` (n) of logits, whose
// rows are `stride` apart; 0xffffffff if no logit is finite or the highest is inf.
// A row's parameters, `params` (n, 8): temperature (f32), top_k (0: all), top_p
// (f32), min_p (f32), the number in [0, 1) to draw by (f64, its low word first),
// whether the logarithm of the token's probability is wanted (1), and one that
// is not read. logprobs (n): that logarithm in the softmax of row
// `plain_rows[i]` of `plain`, the logits before they were edited; NaN where it is
// not wanted.
//
// grid (n), block 1024. vocabulary is below 2^20.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
    sample(const float *__restrict__ logits, const uint32_t *__restrict__ rows, uint32_t stride,
           const float *__restrict__ plain, const uint32_t *__restrict__ plain_rows,
           uint32_t plain_stride, const uint32_t *__restrict__ params, uint32_t vocabulary,
           uint32_t *__restrict__ tokens, float *__restrict__ logprobs) {
    __shared__ Room room;
    const uint32_t *p = params + (uint64_t)blockIdx.x * 8;
    float temperature = __uint_as_float(p[0]), top_p = __uint_as_float(p[2]);
    float min_p = __uint_as_float(p[3]);
    uint32_t top_k = p[1] < vocabulary ? p[1] : 0;
    double uniform = __longlong_as_double((long long)((u64)p[5] << 32 | p[4]));
    uint32_t token;
    const float *own = logits + (uint64_t)rows[blockIdx.x] * stride;
    Row row = {own, vocabulary, highest(own, vocabulary, room, token), 1.0f / temperature,
               nullptr, 0};
    if (fabsf(row.max) == INFINITY) {
        token = NO_TOKEN;
    } else if (temperature != 0.0f) {
        if (top_k == 0 && !(top_p < 1.0f) && !(min_p > 0.0f))
            token = draw_by_id(row, uniform, room);
        else
            token = draw_cut(row, top_k, top_p, min_p, uniform, room);
    }
    float logprob = NAN;
    if ((p[6] & 1) && token != NO_TOKEN) {
        uint64_t at = (uint64_t)plain_rows[blockIdx.x] * plain_stride;
        logprob = log_share(plain + at, vocabulary, token, room);
    }
    if (threadIdx.x == 0) {
        tokens[blockIdx.x] = token;
        logprobs[blockIdx.x] = logprob;
    }
}

#define EDIT_ADD 0
#define EDIT_SUBTRACT 1
// Divides what is above 0 and multiplies what is not.
#define EDIT_PENALTY 2
#define EDIT_BAN 3
// Ids that a block edits.
#define EDITED 8192

// Edits the rows `rows` (n) of logits in place. Row i's edits are `starts[i]` to
// `starts[i + 1]`: those of one token stand together, in their order. Then what
// its mask lacks is banned: mask_spans (n, 2) has the first word and the number of
// words in `masks`, 0xffffffff as the first if all may be drawn; bit t % 32 of
// word t / 32 is token t's, and none beyond the last word may.
//
// grid (n, ceil(vocabulary / 8192)), block 256.
extern "C" __global__ void edit_logits(float *__restrict__ logits,
                                       const uint32_t *__restrict__ rows, uint32_t stride,
                                       const uint32_t *__restrict__ starts,
                                       const uint32_t *__restrict__ tokens,
                                       const uint32_t *__restrict__ kinds,
                                       const float *__restrict__ values,
                                       const uint32_t *__restrict__ masks,
                                       const uint32_t *__restrict__ mask_spans,
                                       uint32_t vocabulary) {
    float *row = logits + (uint64_t)rows[blockIdx.x] * stride;
    uint32_t first = blockIdx.y * EDITED, end = min(first + EDITED, vocabulary);
    uint32_t begin = starts[blockIdx.x], last = starts[blockIdx.x + 1];
    for (uint32_t e = begin + threadIdx.x; e < last; e += blockDim.x) {
        uint32_t token = tokens[e];
        bool leads = e == begin || tokens[e - 1] != token;
        if (!leads || token < first || token >= end) continue;
        float logit = row[token];
        for (uint32_t i = e; i < last && tokens[i] == token; i++) {
            float value = values[i];
            if (kinds[i] == EDIT_ADD) logit += value;
            else if (kinds[i] == EDIT_SUBTRACT) logit -= value;
            else if (kinds[i] == EDIT_BAN) logit = -INFINITY;
            else if (logit > 0.0f) logit /= value;
            else logit *= value;
        }
        row[token] = logit;
    }
    uint32_t start = mask_spans[blockIdx.x * 2], words = mask_spans[blockIdx.x * 2 + 1];
    if (start == NO_TOKEN) return;
    __syncthreads();
    for (uint32_t id = first + threadIdx.x; id < end; id += blockDim.x) {
        uint32_t word = id / 32 < words ? masks[start + id / 32] : 0;
        if (!(word >> id % 32 & 1)) row[id] = -INFINITY;
    }
}

// ids (n) = the tokens that were drawn, of which `which` (n) names one for each.
// grid (ceil(n / 256)), block 256.
extern "C" __global__ void take_drawn(const uint32_t *__restrict__ tokens,
                                      const uint32_t *__restrict__ which,
                                      uint32_t *__restrict__ ids, uint32_t n) {
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) ids[i] = tokens[which[i]];
}
