// Tensor cores and the copies that feed them: each piece of PTX in one
// function, which has a twin in plain C++ for running without a GPU.
//
// Lanes are named as in the manual of PTX: g = lane / 4, t = lane % 4. A
// register of a fragment holds two 16-bit numbers, the first in its low half.
#pragma once

#include "common.cuh"

#ifdef DRAGOMAN_EMULATED
#include <deque>
#include <vector>
#endif

// 16 bytes, as one load brings them.
struct alignas(16) Words {
    uint32_t w[4];
};

// 2^x to about two units in the last place.
static __device__ __forceinline__ float exp2_fast(float x) {
#ifdef DRAGOMAN_EMULATED
    return exp2f(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

// 16 bytes that are read once, past the first cache; zeros where not `there`.
static __device__ __forceinline__ Words load_words(const void *from, bool there) {
    Words x;
#ifdef DRAGOMAN_EMULATED
    if (there) memcpy(&x, from, 16);
    else memset(&x, 0, 16);
#else
    asm("{\n .reg .pred p;\n setp.ne.u32 p, %5, 0;\n"
        " mov.u32 %0, 0;\n mov.u32 %1, 0;\n mov.u32 %2, 0;\n mov.u32 %3, 0;\n"
        " @p ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];\n}"
        : "=&r"(x.w[0]), "=&r"(x.w[1]), "=&r"(x.w[2]), "=&r"(x.w[3])
        : "l"(from), "r"((uint32_t)there));
#endif
    return x;
}

// The same of 8 bytes.
static __device__ __forceinline__ void load_pair(uint32_t (&x)[2], const void *from,
                                                 bool there) {
#ifdef DRAGOMAN_EMULATED
    if (there) memcpy(x, from, 8);
    else memset(x, 0, 8);
#else
    asm("{\n .reg .pred p;\n setp.ne.u32 p, %3, 0;\n mov.u32 %0, 0;\n mov.u32 %1, 0;\n"
        " @p ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];\n}"
        : "=&r"(x[0]), "=&r"(x[1])
        : "l"(from), "r"((uint32_t)there));
#endif
}

// Two numbers as a register of a fragment. Does not saturate.
template <typename T> static __device__ __forceinline__ uint32_t pack(float low, float high);

#ifdef DRAGOMAN_EMULATED
template <typename T> static inline uint32_t pack_plain(float low, float high) {
    T x[2] = {narrow<T>(low), narrow<T>(high)};
    uint32_t both;
    memcpy(&both, x, 4);
    return both;
}
template <> inline uint32_t pack<f16>(float low, float high) {
    return pack_plain<f16>(low, high);
}
template <> inline uint32_t pack<bf16>(float low, float high) {
    return pack_plain<bf16>(low, high);
}
#else
template <> __device__ __forceinline__ uint32_t pack<f16>(float low, float high) {
    uint32_t both;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}
template <> __device__ __forceinline__ uint32_t pack<bf16>(float low, float high) {
    uint32_t both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}
#endif

// The low halves of both, and the high halves.
static __device__ __forceinline__ uint32_t low_halves(uint32_t a, uint32_t b) {
#ifdef DRAGOMAN_EMULATED
    return (a & 0xffffu) | (b << 16);
#else
    return __byte_perm(a, b, 0x5410);
#endif
}
static __device__ __forceinline__ uint32_t high_halves(uint32_t a, uint32_t b) {
#ifdef DRAGOMAN_EMULATED
    return (a >> 16) | (b & 0xffff0000u);
#else
    return __byte_perm(a, b, 0x7632);
#endif
}

// c += a · b, (16, 16) by (16, 8). Of `a`, a lane has rows g, g + 8, g, g + 8 at
// columns 2t (first two registers) and 2t + 8; of `b`, column g at rows 2t and
// 2t + 8; of `c`, row g at columns 2t and 2t + 1, then row g + 8.
template <typename T>
static __device__ __forceinline__ void mma(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                           uint32_t a3, uint32_t b0, uint32_t b1);

#ifdef DRAGOMAN_EMULATED
template <typename T>
static inline void mma_plain(float (&c)[4], const uint32_t (&registers)[6]) {
    T halves[12];
    uint32_t given[12];
    memcpy(halves, registers, sizeof halves);
    for (int i = 0; i < 12; i++) {
        float x = widen(halves[i]);
        memcpy(&given[i], &x, 4);
    }
    const float *all = reinterpret_cast<const float *>(emulated::exchange(given, 12));
    const int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 16; k++) {
            const int lane = k % 8 / 2, high = k / 8, e = k % 2;
            c[i] += all[(4 * g + lane) * 12 + (2 * high + i / 2) * 2 + e] *
                    all[(4 * (2 * t + i % 2) + lane) * 12 + 8 + 2 * high + e];
        }
}
#define MMA_OF(T, name)                                                                       \
    template <>                                                                               \
    inline void mma<T>(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,     \
                       uint32_t b0, uint32_t b1) {                                            \
        mma_plain<T>(c, {a0, a1, a2, a3, b0, b1});                                            \
    }
#else
#define MMA_OF(T, name)                                                                       \
    template <>                                                                               \
    __device__ __forceinline__ void mma<T>(float (&c)[4], uint32_t a0, uint32_t a1,           \
                                           uint32_t a2, uint32_t a3, uint32_t b0,             \
                                           uint32_t b1) {                                     \
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." name "." name ".f32 "           \
                     "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"        \
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                         \
                     : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));                 \
    }
#endif
MMA_OF(f16, "f16")
MMA_OF(bf16, "bf16")
#undef MMA_OF

// d = start + a · b in signed bytes, (16, K) by (K, 8), K 32 or 16. A register
// holds four bytes of a row of `a` or a column of `b`, those of columns 4t to
// 4t + 3 of 16: of `a` a lane has rows g, g + 8, and for K = 32 the same of columns
// 16 and following; of `b` column g, in the same order; of `d` what `mma` has.
#ifdef DRAGOMAN_EMULATED
static inline void mma_bytes_plain(int (&d)[4], const uint32_t (&a)[2], uint32_t b) {
    const uint32_t given[3] = {a[0], a[1], b};
    const uint32_t *all = emulated::exchange(given, 3);
    const int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 16; k++) {
            const uint32_t left = all[(4 * g + k / 4) * 3 + i / 2];
            const uint32_t right = all[(4 * (2 * t + i % 2) + k / 4) * 3 + 2];
            d[i] += (int8_t)(left >> (k % 4 * 8)) * (int8_t)(right >> (k % 4 * 8));
        }
}
#endif
static __device__ __forceinline__ void mma_bytes32(int (&d)[4], const uint32_t (&a)[4],
                                                   uint32_t b0, uint32_t b1, int start) {
#ifdef DRAGOMAN_EMULATED
    for (int &x : d) x = start;
    mma_bytes_plain(d, {a[0], a[1]}, b0);
    mma_bytes_plain(d, {a[2], a[3]}, b1);
#else
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %10, %10, %10};"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "r"(start));
#endif
}
static __device__ __forceinline__ void mma_bytes16(int (&d)[4], uint32_t a0, uint32_t a1,
                                                   uint32_t b, int start) {
#ifdef DRAGOMAN_EMULATED
    for (int &x : d) x = start;
    mma_bytes_plain(d, {a0, a1}, b);
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 "
                 "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %7, %7, %7};"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(a0), "r"(a1), "r"(b), "r"(start));
#endif
}

// Four matrices of (8, 8) 16-bit numbers from shared memory. Lanes 8i to 8i + 7
// give the addresses of the rows of matrix i. Register i is row g of matrix i at
// columns 2t and 2t + 1, or, transposed, column g at rows 2t and 2t + 1.
template <bool TRANSPOSED, typename T>
static __device__ __forceinline__ void load_matrices(uint32_t (&x)[4], const T *row) {
#ifdef DRAGOMAN_EMULATED
    const int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    const uint64_t at = reinterpret_cast<uint64_t>(row);
    uint32_t given[2];
    memcpy(given, &at, 8);
    const uint32_t *all = emulated::exchange(given, 2);
    for (int i = 0; i < 4; i++)
        for (int e = 0; e < 2; e++) {
            const int r = TRANSPOSED ? 2 * t + e : g, c = TRANSPOSED ? g : 2 * t + e;
            const unsigned char *from;
            memcpy(&from, all + (8 * i + r) * 2, 8);
            memcpy(reinterpret_cast<unsigned char *>(&x[i]) + 2 * e, from + 2 * c, 2);
        }
#else
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    if (TRANSPOSED) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                     : "r"(at)
                     : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                     : "r"(at)
                     : "memory");
    }
#endif
}

// An (8, 8) matrix of 16-bit numbers, row g at columns 2t and 2t + 1, transposed
// within the warp.
static __device__ __forceinline__ uint32_t transpose(uint32_t x) {
#ifdef DRAGOMAN_EMULATED
    const int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    const uint32_t *all = emulated::exchange(&x, 1);
    const uint32_t a = all[8 * t + g / 2], b = all[8 * t + 4 + g / 2];
    return g % 2 ? high_halves(a, b) : low_halves(a, b);
#else
    uint32_t y;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
    return y;
#endif
}

#ifdef DRAGOMAN_EMULATED
// Copies take place no sooner than they are waited for, so that a forgotten
// wait shows.
struct Copy {
    void *to;
    const void *from;
    int bytes;
    bool there;
};
struct Copies {
    std::vector<Copy> open;
    std::deque<std::vector<Copy>> groups;
};
static inline Copies &thread_copies() {
    static Copies all[1024];
    return all[threadIdx.x];
}
#endif

// Begins to copy 16, 8 or 4 bytes, aligned to as many, to shared memory; zeros
// where not `there`.
template <int BYTES = 16>
static __device__ __forceinline__ void copy_async(void *to, const void *from, bool there) {
#ifdef DRAGOMAN_EMULATED
    if ((reinterpret_cast<uint64_t>(to) | (there ? reinterpret_cast<uint64_t>(from) : 0)) % BYTES)
        abort();
    thread_copies().open.push_back({to, from, BYTES, there});
#else
    uint32_t at = (uint32_t)__cvta_generic_to_shared(to), bytes = there ? BYTES : 0;
    if constexpr (BYTES == 16) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                     :
                     : "r"(at), "l"(from), "r"(bytes)
                     : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;"
                     :
                     : "r"(at), "l"(from), "n"(BYTES), "r"(bytes)
                     : "memory");
    }
#endif
}

// Makes a group of the copies begun since the last.
static __device__ __forceinline__ void copies_commit() {
#ifdef DRAGOMAN_EMULATED
    thread_copies().groups.push_back(std::move(thread_copies().open));
    thread_copies().open.clear();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits for this thread's copies, but for those of the last `LEFT` groups.
template <int LEFT> static __device__ __forceinline__ void copies_wait() {
#ifdef DRAGOMAN_EMULATED
    auto &groups = thread_copies().groups;
    for (; groups.size() > LEFT; groups.pop_front())
        for (const Copy &copy : groups.front()) {
            if (copy.there) memcpy(copy.to, copy.from, copy.bytes);
            else memset(copy.to, 0, copy.bytes);
        }
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}
