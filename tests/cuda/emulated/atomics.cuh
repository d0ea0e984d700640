// Atomic operations: one thread runs at a time, so plain ones do.
#pragma once

#define ATOMIC(name, T, next)                                                              \
    inline T name(T *at, T given) {                                                        \
        T old = *at;                                                                       \
        *at = next;                                                                        \
        return old;                                                                        \
    }                                                                                      \
    inline T name##_block(T *at, T given) { return name(at, given); }

#define ATOMICS(T)                                                                         \
    ATOMIC(atomicMax, T, old > given ? old : given)                                        \
    ATOMIC(atomicMin, T, old < given ? old : given)                                        \
    ATOMIC(atomicExch, T, given)                                                           \
    ATOMIC(atomicOr, T, old | given)                                                       \
    ATOMIC(atomicAnd, T, old & given)                                                      \
    ATOMIC(atomicXor, T, old ^ given)                                                      \
    inline T atomicCAS(T *at, T expected, T given) {                                       \
        T old = *at;                                                                       \
        if (old == expected) *at = given;                                                  \
        return old;                                                                        \
    }

ATOMICS(int)
ATOMICS(unsigned)
ATOMICS(long)
ATOMICS(unsigned long)
ATOMICS(long long)
ATOMICS(unsigned long long)
ATOMICS(unsigned short)
ATOMIC(atomicExch, float, given)
ATOMIC(atomicAdd, int, old + given)
ATOMIC(atomicAdd, unsigned, old + given)
ATOMIC(atomicAdd, unsigned long, old + given)
ATOMIC(atomicAdd, unsigned long long, old + given)
ATOMIC(atomicAdd, float, old + given)
ATOMIC(atomicAdd, double, old + given)
ATOMIC(atomicAdd, __half, old + given)
ATOMIC(atomicAdd, __nv_bfloat16, old + given)
ATOMIC(atomicAdd, __half2, old + given)
ATOMIC(atomicAdd, __nv_bfloat162, old + given)
ATOMIC(atomicSub, int, old - given)
ATOMIC(atomicSub, unsigned, old - given)
inline unsigned atomicInc(unsigned *at, unsigned last) {
    unsigned old = *at;
    *at = old >= last ? 0 : old + 1;
    return old;
}
inline unsigned atomicDec(unsigned *at, unsigned last) {
    unsigned old = *at;
    *at = old == 0 || old > last ? last : old - 1;
    return old;
}
#undef ATOMIC
#undef ATOMICS
