// The functions of cuda_fp16.h and cuda_bf16.h. Both types have the same ones;
// where their names differ, the macro gets the type's part of the name.
#pragma once

// `T2` is a pair of `T`; f2h and such are the names of conversions.
#define PAIRS(T, T2, h, h2)                                                                \
    struct __attribute__((may_alias, aligned(4))) T2 {                                     \
        T x, y;                                                                            \
        T2() = default;                                                                    \
        T2(T x, T y) : x(x), y(y) {}                                                       \
    };                                                                                     \
    inline T2 operator+(T2 a, T2 b) { return {a.x + b.x, a.y + b.y}; }                     \
    inline T2 operator-(T2 a, T2 b) { return {a.x - b.x, a.y - b.y}; }                     \
    inline T2 operator*(T2 a, T2 b) { return {a.x * b.x, a.y * b.y}; }                     \
    inline T2 operator/(T2 a, T2 b) { return {a.x / b.x, a.y / b.y}; }                     \
    inline T2 operator-(T2 a) { return {-a.x, -a.y}; }                                     \
    inline T2 &operator+=(T2 &a, T2 b) { return a = a + b; }                               \
    inline T2 &operator-=(T2 &a, T2 b) { return a = a - b; }                               \
    inline T2 &operator*=(T2 &a, T2 b) { return a = a * b; }                               \
    inline bool operator==(T2 a, T2 b) { return a.x == b.x && a.y == b.y; }                \
    inline T __float2##h(float x) { return T(x); }                                         \
    inline T __float2##h##_rn(float x) { return T(x); }                                    \
    inline T __double2##h(double x) { return T(x); }                                       \
    inline T __int2##h##_rn(int x) { return T(x); }                                        \
    inline T __uint2##h##_rn(unsigned x) { return T(x); }                                  \
    inline float __##h##2float(T x) { return float(x); }                                   \
    inline int __##h##2int_rn(T x) { return int(nearbyintf(float(x))); }                   \
    inline int __##h##2int_rz(T x) { return int(float(x)); }                               \
    inline T2 __float2##h2##_rn(float x) { return {T(x), T(x)}; }                          \
    inline T2 __floats2##h2##_rn(float x, float y) { return {T(x), T(y)}; }                \
    inline T2 __float22##h2##_rn(float2 v) { return {T(v.x), T(v.y)}; }                    \
    inline float2 __##h2##2float2(T2 v) { return {float(v.x), float(v.y)}; }               \
    inline T2 __halves2##h2(T x, T y) { return {x, y}; }                                   \
    inline T2 __##h##2##h2(T x) { return {x, x}; }                                         \
    inline T __low2##h(T2 v) { return v.x; }                                               \
    inline T __high2##h(T2 v) { return v.y; }                                              \
    inline T2 __low2##h2(T2 v) { return {v.x, v.x}; }                                      \
    inline T2 __high2##h2(T2 v) { return {v.y, v.y}; }                                     \
    inline T2 __lows2##h2(T2 a, T2 b) { return {a.x, b.x}; }                               \
    inline T2 __highs2##h2(T2 a, T2 b) { return {a.y, b.y}; }                              \
    inline T2 make_##h2(T x, T y) { return {x, y}; }                                       \
    inline unsigned short __##h##_as_ushort(T x) { return x.stored; }                      \
    inline short __##h##_as_short(T x) { return short(x.stored); }                         \
    inline T __ushort_as_##h(unsigned short x) { return T::from_bits(x); }                 \
    inline T __short_as_##h(short x) { return T::from_bits((unsigned short)(x)); }         \
    inline float __low2float(T2 v) { return float(v.x); }                                  \
    inline float __high2float(T2 v) { return float(v.y); }

// Functions with the same name for both types. A fused product is exact in
// double, and so is the sum but for numbers 2^50 apart.
#define SAME_NAMES(T, T2)                                                                  \
    inline T __hadd(T a, T b) { return a + b; }                                            \
    inline T __hsub(T a, T b) { return a - b; }                                            \
    inline T __hmul(T a, T b) { return a * b; }                                            \
    inline T __hdiv(T a, T b) { return a / b; }                                            \
    inline T __hadd_rn(T a, T b) { return a + b; }                                         \
    inline T __hmul_rn(T a, T b) { return a * b; }                                         \
    inline T __hfma(T a, T b, T c) { return T(double(float(a)) * float(b) + float(c)); }   \
    inline T __hneg(T a) { return -a; }                                                    \
    inline T __habs(T a) { return T::from_bits(a.stored & 0x7fff); }                       \
    inline bool __hisnan(T a) { return a != a; }                                           \
    inline int __hisinf(T a) { return isinf(float(a)) ? (float(a) > 0 ? 1 : -1) : 0; }     \
    inline T __hmax(T a, T b) { return T(fmaxf(a, b)); }                                   \
    inline T __hmin(T a, T b) { return T(fminf(a, b)); }                                   \
    inline T __hmax_nan(T a, T b) { return a != a ? a : b != b ? b : __hmax(a, b); }       \
    inline T __hmin_nan(T a, T b) { return a != a ? a : b != b ? b : __hmin(a, b); }       \
    inline bool __heq(T a, T b) { return a == b; }                                         \
    inline bool __hne(T a, T b) { return a != b; }                                         \
    inline bool __hlt(T a, T b) { return a < b; }                                          \
    inline bool __hle(T a, T b) { return a <= b; }                                         \
    inline bool __hgt(T a, T b) { return a > b; }                                          \
    inline bool __hge(T a, T b) { return a >= b; }                                         \
    inline T2 __hadd2(T2 a, T2 b) { return a + b; }                                        \
    inline T2 __hsub2(T2 a, T2 b) { return a - b; }                                        \
    inline T2 __hmul2(T2 a, T2 b) { return a * b; }                                        \
    inline T2 __h2div(T2 a, T2 b) { return a / b; }                                        \
    inline T2 __hneg2(T2 a) { return -a; }                                                 \
    inline T2 __habs2(T2 a) { return {__habs(a.x), __habs(a.y)}; }                         \
    inline T2 __hmax2(T2 a, T2 b) { return {__hmax(a.x, b.x), __hmax(a.y, b.y)}; }         \
    inline T2 __hmin2(T2 a, T2 b) { return {__hmin(a.x, b.x), __hmin(a.y, b.y)}; }         \
    inline T2 __hfma2(T2 a, T2 b, T2 c) {                                                  \
        return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};                             \
    }                                                                                      \
    inline T hsqrt(T a) { return T(sqrtf(a)); }                                            \
    inline T hrsqrt(T a) { return T(1.0 / sqrt(double(float(a)))); }                       \
    inline T hrcp(T a) { return T(1.0f / float(a)); }                                      \
    inline T hexp(T a) { return T(exp(double(float(a)))); }                                \
    inline T hexp2(T a) { return T(exp2(double(float(a)))); }                              \
    inline T hlog(T a) { return T(log(double(float(a)))); }                                \
    inline T hlog2(T a) { return T(log2(double(float(a)))); }                              \
    inline T hsin(T a) { return T(sin(double(float(a)))); }                                \
    inline T hcos(T a) { return T(cos(double(float(a)))); }                                \
    inline T htanh(T a) { return T(tanh(double(float(a)))); }                              \
    inline T hceil(T a) { return T(ceilf(a)); }                                            \
    inline T hfloor(T a) { return T(floorf(a)); }                                          \
    inline T hrint(T a) { return T(nearbyintf(a)); }                                       \
    inline T htrunc(T a) { return T(truncf(a)); }

PAIRS(__half, __half2, half, half2)
SAME_NAMES(__half, __half2)
PAIRS(__nv_bfloat16, __nv_bfloat162, bfloat16, bfloat162)
SAME_NAMES(__nv_bfloat16, __nv_bfloat162)
#undef PAIRS
#undef SAME_NAMES

typedef __half2 half2;
typedef __nv_bfloat162 nv_bfloat162;

inline __half __float2half_rz(float x) {
    __half near(x);
    bool above = fabsf(float(near)) > fabsf(x) && !isinf(x);
    return above ? __half::from_bits(near.stored - 1) : near;
}
inline __nv_bfloat16 __float2bfloat16_rz(float x) {
    return x != x ? __nv_bfloat16(x)
                  : __nv_bfloat16::from_bits(emulated::bits<uint32_t>(x) >> 16);
}
