// Functions of numbers that CUDA has and C++ has not, or has under other names.
#pragma once

// One type for both, as CUDA's overloads choose it.
template <typename A, typename B,
          typename = std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>>>
inline std::common_type_t<A, B> min(A a, B b) {
    typedef std::common_type_t<A, B> T;
    if constexpr (std::is_floating_point_v<T>) return fmin(T(a), T(b));
    else return T(b) < T(a) ? T(b) : T(a);
}
template <typename A, typename B,
          typename = std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>>>
inline std::common_type_t<A, B> max(A a, B b) {
    typedef std::common_type_t<A, B> T;
    if constexpr (std::is_floating_point_v<T>) return fmax(T(a), T(b));
    else return T(a) < T(b) ? T(b) : T(a);
}

template <typename T> inline T __ldg(const T *at) { return *at; }
template <typename T> inline T __ldcg(const T *at) { return *at; }
template <typename T> inline T __ldca(const T *at) { return *at; }
template <typename T> inline T __ldcs(const T *at) { return *at; }
template <typename T> inline T __ldlu(const T *at) { return *at; }
template <typename T> inline void __stcg(T *at, T value) { *at = value; }
template <typename T> inline void __stcs(T *at, T value) { *at = value; }
template <typename T> inline void __stwt(T *at, T value) { *at = value; }

inline int __float_as_int(float x) { return emulated::bits<int>(x); }
inline unsigned __float_as_uint(float x) { return emulated::bits<unsigned>(x); }
inline float __int_as_float(int x) { return emulated::bits<float>(x); }
inline float __uint_as_float(unsigned x) { return emulated::bits<float>(x); }
inline long long __double_as_longlong(double x) { return emulated::bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emulated::bits<double>(x); }

// Conversions to integers hold at the ends of their range; NaN becomes 0.
namespace emulated {
template <typename T> inline T saturated(double x) {
    typedef std::numeric_limits<T> limits;
    if (x != x) return 0;
    if (x <= double(limits::min())) return limits::min();
    return x >= double(limits::max()) ? limits::max() : T(x);
}
} // namespace emulated
inline int __float2int_rn(float x) { return emulated::saturated<int>(nearbyintf(x)); }
inline int __float2int_rz(float x) { return emulated::saturated<int>(x); }
inline int __float2int_rd(float x) { return emulated::saturated<int>(floorf(x)); }
inline int __float2int_ru(float x) { return emulated::saturated<int>(ceilf(x)); }
inline unsigned __float2uint_rn(float x) {
    return emulated::saturated<unsigned>(nearbyintf(x));
}
inline unsigned __float2uint_rz(float x) { return emulated::saturated<unsigned>(x); }
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }

// Macros, as the C library keeps some of these names for itself.
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __tanf(x) tanf(x)
#define __powf(x, y) powf(x, y)
#define __tanhf(x) tanhf(x)
#define __sincosf(x, s, c) sincosf(x, s, c)
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }
inline float __frsqrt_rn(float x) { return float(1.0 / sqrt(double(x))); }
inline float rsqrtf(float x) { return __frsqrt_rn(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline double normcdf(double x) { return 0.5 * erfc(-x * M_SQRT1_2); }
inline float normcdff(float x) { return float(normcdf(double(x))); }
inline float fdividef(float x, float y) { return x / y; }

inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline unsigned __brev(unsigned x) {
    unsigned reversed = 0;
    for (int bit = 0; bit < 32; bit++) reversed |= (x >> bit & 1) << (31 - bit);
    return reversed;
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned chosen) {
    uint64_t both = uint64_t(y) << 32 | x;
    unsigned result = 0;
    for (int at = 0; at < 4; at++) {
        unsigned code = chosen >> (4 * at), byte = both >> (8 * (code & 7)) & 0xff;
        if (code & 8) byte = byte & 0x80 ? 0xff : 0;
        result |= byte << (8 * at);
    }
    return result;
}
inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned by) {
    return unsigned((uint64_t(hi) << 32 | lo) << (by & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned by) {
    return unsigned((uint64_t(hi) << 32 | lo) >> (by & 31));
}
inline int __mulhi(int x, int y) { return int(int64_t(x) * y >> 32); }
inline unsigned __umulhi(unsigned x, unsigned y) { return unsigned(uint64_t(x) * y >> 32); }

#define DOT(T, A, B, Byte1, Byte2)                                                         \
    inline T __dp4a(A a, B b, T c) {                                                       \
        for (int at = 0; at < 32; at += 8) c += T(Byte1(a >> at)) * T(Byte2(b >> at));     \
        return c;                                                                          \
    }
DOT(int, int, int, int8_t, int8_t)
DOT(unsigned, unsigned, unsigned, uint8_t, uint8_t)
#undef DOT

// Four or two numbers in one word.
#define IN_WORD(name, Part, how)                                                           \
    inline unsigned name(unsigned x, unsigned y) {                                         \
        unsigned result = 0;                                                               \
        for (int at = 0; at < 32; at += 8 * int(sizeof(Part))) {                           \
            int a = Part(x >> at), b = Part(y >> at);                                      \
            result |= unsigned(std::make_unsigned_t<Part>(how)) << at;                     \
        }                                                                                  \
        return result;                                                                     \
    }
IN_WORD(__vadd4, int8_t, a + b)
IN_WORD(__vsub4, int8_t, a - b)
IN_WORD(__vaddss4, int8_t, min(max(a + b, -128), 127))
IN_WORD(__vsubss4, int8_t, min(max(a - b, -128), 127))
IN_WORD(__vaddus4, uint8_t, min(a + b, 255))
IN_WORD(__vsubus4, uint8_t, max(a - b, 0))
IN_WORD(__vmaxs4, int8_t, max(a, b))
IN_WORD(__vmins4, int8_t, min(a, b))
IN_WORD(__vmaxu4, uint8_t, max(a, b))
IN_WORD(__vminu4, uint8_t, min(a, b))
IN_WORD(__vcmpeq4, uint8_t, a == b ? 255 : 0)
IN_WORD(__vcmpne4, uint8_t, a != b ? 255 : 0)
IN_WORD(__vadd2, int16_t, a + b)
IN_WORD(__vsub2, int16_t, a - b)
IN_WORD(__vsubss2, int16_t, min(max(a - b, -32768), 32767))
#undef IN_WORD
