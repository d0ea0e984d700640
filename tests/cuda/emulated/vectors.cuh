// CUDA's short vectors. They may alias other types, as kernels load and store
// through pointers to them.
#pragma once

#define VECTOR(name, type, align)                                                          \
    struct __attribute__((may_alias, aligned(sizeof(type)))) name##1 { type x; };          \
    struct __attribute__((may_alias, aligned(2 * sizeof(type)))) name##2 { type x, y; };   \
    struct __attribute__((may_alias)) name##3 { type x, y, z; };                           \
    struct __attribute__((may_alias, aligned(align))) name##4 { type x, y, z, w; };        \
    inline name##1 make_##name##1(type x) { return {x}; }                                  \
    inline name##2 make_##name##2(type x, type y) { return {x, y}; }                       \
    inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }            \
    inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }

VECTOR(char, signed char, 4)
VECTOR(uchar, unsigned char, 4)
VECTOR(short, short, 8)
VECTOR(ushort, unsigned short, 8)
VECTOR(int, int, 16)
VECTOR(uint, unsigned int, 16)
VECTOR(long, long, 16)
VECTOR(ulong, unsigned long, 16)
VECTOR(longlong, long long, 16)
VECTOR(ulonglong, unsigned long long, 16)
VECTOR(float, float, 16)
VECTOR(double, double, 16)
#undef VECTOR

struct dim3 {
    unsigned int x, y, z;
    constexpr dim3(unsigned int x = 1, unsigned int y = 1, unsigned int z = 1)
        : x(x), y(y), z(z) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
    operator uint3() const { return {x, y, z}; }
};
