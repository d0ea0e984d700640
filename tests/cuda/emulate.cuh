// The words of CUDA C++ for g++, so that kernels run on the CPU in tests: one
// block at a time, its threads as fibers that take turns at barriers and at
// operations of a warp. README.md says how to use it and what it cannot show.
#pragma once

#include <cassert>
#include <cfloat>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <math.h>
#include <type_traits>

#ifndef __CUDA_ARCH__
#define __CUDA_ARCH__ 900
#endif
#ifndef __CUDACC_VER_MAJOR__
#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __shared__ static
#define __constant__
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __grid_constant__

#include "emulated/vectors.cuh"

#include "emulated/fibers.h"

#include "emulated/numbers.cuh"

#include "emulated/halves.cuh"

#include "emulated/warp.cuh"

#include "emulated/atomics.cuh"

#include "emulated/arithmetic.cuh"

namespace cuda::std {
using ::std::numeric_limits;
}

// Shared memory whose size the launch gives, as an array of `type`.
#define DYNAMIC_SHARED(type, name)                                                         \
    type *name = static_cast<type *>(::emulated::dynamic_shared())
