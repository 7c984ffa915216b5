// Element types, arithmetic and vector access of the CUDA kernels.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math.h>

#include "../core/common.h"

// The tests run the kernels on the CPU and put something else in place of this.
#if !defined(MMHADAPTIVE_DYNAMIC_SHARED)
#define MMHADAPTIVE_DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#endif

namespace mmhadaptive::cuda {

__device__ __forceinline__ float widen(float v) {
  return v;
}
__device__ __forceinline__ double widen(double v) {
  return v;
}
__device__ __forceinline__ float widen(__half v) {
  return __half2float(v);
}
__device__ __forceinline__ float widen(__nv_bfloat16 v) {
  return __bfloat162float(v);
}
__device__ __forceinline__ void narrow(float v, float* to) {
  *to = v;
}
__device__ __forceinline__ void narrow(double v, double* to) {
  *to = v;
}
__device__ __forceinline__ void narrow(float v, __half* to) {
  *to = __float2half_rn(v);
}
__device__ __forceinline__ void narrow(float v, __nv_bfloat16* to) {
  *to = __float2bfloat16_rn(v);
}

template <class A>
struct ScalarMath {
  using V = A;
  static __device__ __forceinline__ A half() {
    return A(0.5);
  }
  static __device__ __forceinline__ A absolute(A v) {
    return fabs(v);
  }
  static __device__ __forceinline__ A reciprocal(A v) {
#if defined(__CUDA_ARCH__)
    // The hardware's approximation and one Newton step, as accurate as a division and a third of
    // it.
    if constexpr (sizeof(A) == sizeof(float)) {
      float r;
      asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(v));
      return fmaf(r, fmaf(-v, r, 1.0f), r);
    }
#endif
    return 1 / v;
  }
  static __device__ __forceinline__ A reciprocal_root(A v) {
    return 1 / sqrt(v);
  }
  static __device__ __forceinline__ A exponential(A v) {
    return exp(v);
  }
};

// `count` elements that one instruction stores.
template <class T, int count>
struct alignas(sizeof(T) * count) Pack {
  T values[count];
};

}  // namespace mmhadaptive::cuda
