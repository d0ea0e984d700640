// f16, bf16 and f8 (e4m3): conversions, rounding to the nearest even number.
#pragma once

namespace emulated {

template <typename To, typename From> inline To bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

inline float from_half(uint16_t x) { return static_cast<float>(bits<_Float16>(x)); }
inline uint16_t to_half(float x) {
    return x != x ? 0x7fff : bits<uint16_t>(static_cast<_Float16>(x));
}
inline uint16_t to_half(double x) {
    return x != x ? 0x7fff : bits<uint16_t>(static_cast<_Float16>(x));
}

inline float from_bfloat(uint16_t x) { return bits<float>(static_cast<uint32_t>(x) << 16); }
inline uint16_t to_bfloat(float x) {
    if (x != x) return 0x7fff;
    uint32_t b = bits<uint32_t>(x);
    return static_cast<uint16_t>((b + 0x7fff + ((b >> 16) & 1)) >> 16);
}
// Rounds to odd on the way, so that rounding twice gives what once would.
inline float to_odd(double x) {
    float near = static_cast<float>(x);
    if (x != x || static_cast<double>(near) == x || isinf(near)) return near;
    float toward = fabs(static_cast<double>(near)) > fabs(x) ? nextafterf(near, 0.0f) : near;
    return bits<float>(bits<uint32_t>(toward) | 1);
}
inline uint16_t to_bfloat(double x) { return to_bfloat(to_odd(x)); }

inline float from_e4m3(uint8_t x) {
    int exponent = (x >> 3) & 15, fraction = x & 7;
    float size = (x & 0x7f) == 0x7f ? NAN
        : exponent == 0             ? ldexpf(static_cast<float>(fraction), -9)
                                    : ldexpf(static_cast<float>(8 + fraction), exponent - 10);
    return x & 0x80 ? -size : size;
}
// Saturates at 448, as CUDA's type does.
inline uint8_t to_e4m3(double x) {
    uint8_t sign = signbit(x) ? 0x80 : 0;
    if (x != x) return 0x7f;
    double size = fabs(x);
    if (size >= 448.0) return sign | 0x7e;
    int exponent = size < 0x1p-6 ? -6 : ilogb(size);
    double steps = nearbyint(ldexp(size, 3 - exponent));
    // Steps of 8..16 at this exponent; 16 carries into the next one by itself.
    int code = (exponent + 6) * 8 + static_cast<int>(steps);
    return static_cast<uint8_t>(sign | (code > 0x7e ? 0x7e : code));
}

} // namespace emulated

struct __half_raw { unsigned short x; };
struct __nv_bfloat16_raw { unsigned short x; };

#define NUMBER16(T, widen, narrow)                                                         \
    struct __attribute__((may_alias)) T {                                                  \
        unsigned short stored;                                                             \
        T() = default;                                                                     \
        T(T##_raw raw) : stored(raw.x) {}                                                  \
        T(float v) : stored(emulated::narrow(v)) {}                                        \
        T(double v) : stored(emulated::narrow(v)) {}                                       \
        T(int v) : T(static_cast<double>(v)) {}                                            \
        T(unsigned v) : T(static_cast<double>(v)) {}                                       \
        T(long v) : T(static_cast<double>(v)) {}                                           \
        T(unsigned long v) : T(static_cast<double>(v)) {}                                  \
        T(long long v) : T(static_cast<double>(v)) {}                                      \
        T(unsigned long long v) : T(static_cast<double>(v)) {}                             \
        operator float() const { return emulated::widen(stored); }                         \
        operator T##_raw() const { return {stored}; }                                      \
        static T from_bits(unsigned short b) { return T(T##_raw{b}); }                     \
        T &operator+=(T o) { return *this = T(float(*this) + float(o)); }                  \
        T &operator-=(T o) { return *this = T(float(*this) - float(o)); }                  \
        T &operator*=(T o) { return *this = T(float(*this) * float(o)); }                  \
        T &operator/=(T o) { return *this = T(float(*this) / float(o)); }                  \
    };                                                                                     \
    inline T operator+(T a, T b) { return a += b; }                                        \
    inline T operator-(T a, T b) { return a -= b; }                                        \
    inline T operator*(T a, T b) { return a *= b; }                                        \
    inline T operator/(T a, T b) { return a /= b; }                                        \
    inline T operator-(T a) { return T::from_bits(a.stored ^ 0x8000); }                    \
    inline T operator+(T a) { return a; }                                                  \
    inline bool operator==(T a, T b) { return float(a) == float(b); }                      \
    inline bool operator!=(T a, T b) { return float(a) != float(b); }                      \
    inline bool operator<(T a, T b) { return float(a) < float(b); }                        \
    inline bool operator<=(T a, T b) { return float(a) <= float(b); }                      \
    inline bool operator>(T a, T b) { return float(a) > float(b); }                        \
    inline bool operator>=(T a, T b) { return float(a) >= float(b); }

NUMBER16(__half, from_half, to_half)
NUMBER16(__nv_bfloat16, from_bfloat, to_bfloat)
#undef NUMBER16

struct __nv_fp8_e4m3 {
    unsigned char __x;
    __nv_fp8_e4m3() = default;
    template <typename T, typename = std::enable_if_t<std::is_arithmetic_v<T>>>
    explicit __nv_fp8_e4m3(T v) : __x(emulated::to_e4m3(static_cast<double>(v))) {}
    explicit __nv_fp8_e4m3(__half v) : __nv_fp8_e4m3(float(v)) {}
    explicit __nv_fp8_e4m3(__nv_bfloat16 v) : __nv_fp8_e4m3(float(v)) {}
    explicit operator float() const { return emulated::from_e4m3(__x); }
};
enum __nv_fp8_interpretation_t { __NV_E4M3, __NV_E5M2 };
inline __half_raw __nv_cvt_fp8_to_halfraw(unsigned char x, __nv_fp8_interpretation_t) {
    return {emulated::to_half(emulated::from_e4m3(x))};
}

typedef __half half;
typedef __nv_bfloat16 nv_bfloat16;
