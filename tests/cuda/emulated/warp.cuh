// Barriers, votes and shuffles.
#pragma once

inline void __syncthreads() { emulated::barrier(0); }
inline int __syncthreads_count(int yes) { return emulated::barrier(yes ? 1 : 0); }
inline int __syncthreads_or(int yes) { return emulated::barrier(yes ? 1 : 0) != 0; }
inline int __syncthreads_and(int yes) { return emulated::barrier(yes ? 0 : 1) == 0; }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
    uint32_t nothing = 0;
    emulated::gather(mask, &nothing, 1);
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) {}

inline unsigned __ballot_sync(unsigned mask, int yes) {
    uint32_t given = yes != 0;
    emulated::Gathered all = emulated::gather(mask, &given, 1);
    unsigned vote = 0;
    for (int lane = 0; lane < 32; lane++)
        if (all.lanes >> lane & 1 && all.words[lane]) vote |= 1u << lane;
    return vote;
}
inline int __any_sync(unsigned mask, int yes) { return __ballot_sync(mask, yes) != 0; }
inline int __all_sync(unsigned mask, int yes) { return __ballot_sync(mask, !yes) == 0; }
inline unsigned __activemask() { return emulated::living(); }

template <typename T> inline unsigned __match_any_sync(unsigned mask, T value) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8);
    uint32_t given[sizeof(T) / 4];
    memcpy(given, &value, sizeof value);
    emulated::Gathered all = emulated::gather(mask, given, sizeof(T) / 4);
    unsigned same = 0;
    for (int lane = 0; lane < 32; lane++)
        if (all.lanes >> lane & 1 &&
            !memcmp(all.words + lane * sizeof(T) / 4, given, sizeof(T)))
            same |= 1u << lane;
    return same;
}

namespace emulated {

// The value of lane `source`; of a lane that takes no part all bits are set.
template <typename T> inline T shuffle(unsigned mask, T value, int source) {
    constexpr int n = (sizeof(T) + 3) / 4;
    uint32_t given[n] = {};
    memcpy(given, &value, sizeof value);
    Gathered all = gather(mask, given, n);
    T result;
    memcpy(&result, all.words + source * n, sizeof result);
    return result;
}

} // namespace emulated

// Lanes read within groups of `width`; past a group's end they read themselves.
template <typename T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    int lane = emulated::lane();
    return emulated::shuffle(mask, value, (lane & -width) | (source & (width - 1)));
}
template <typename T>
inline T __shfl_xor_sync(unsigned mask, T value, int apart, int width = 32) {
    int lane = emulated::lane(), source = lane ^ apart;
    return emulated::shuffle(mask, value, source < (lane & -width) + width ? source : lane);
}
template <typename T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned apart, int width = 32) {
    int lane = emulated::lane(), source = lane + int(apart);
    return emulated::shuffle(mask, value, source < (lane & -width) + width ? source : lane);
}
template <typename T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned apart, int width = 32) {
    int lane = emulated::lane(), source = lane - int(apart);
    return emulated::shuffle(mask, value, source >= (lane & -width) ? source : lane);
}

#define REDUCE(name, T, step)                                                              \
    inline T __reduce_##name##_sync(unsigned mask, T value) {                              \
        emulated::Gathered all =                                                           \
            emulated::gather(mask, reinterpret_cast<const uint32_t *>(&value), 1);         \
        T sum = value;                                                                     \
        for (unsigned lane = 0; lane < 32; lane++) {                                       \
            T other = T(all.words[lane]);                                                  \
            if (lane != emulated::lane() && all.lanes >> lane & 1) sum = step;             \
        }                                                                                  \
        return sum;                                                                        \
    }
REDUCE(add, unsigned, sum + other)
REDUCE(add, int, sum + other)
REDUCE(max, unsigned, sum > other ? sum : other)
REDUCE(max, int, sum > other ? sum : other)
REDUCE(min, unsigned, sum < other ? sum : other)
REDUCE(min, int, sum < other ? sum : other)
REDUCE(and, unsigned, sum & other)
REDUCE(or, unsigned, sum | other)
REDUCE(xor, unsigned, sum ^ other)
#undef REDUCE
