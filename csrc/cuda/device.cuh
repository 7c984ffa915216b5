// Element types, arithmetic and vector access of the CUDA kernels. Includes nothing of torch, so
// that the tests can run the kernels on the CPU.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cassert>
#include <cstdint>

#include "../cross_hadamard.h"
#include "kernels.h"

// The tests run the kernels on the CPU and put something else in place of this.
#if !defined(MMHADAPTIVE_DYNAMIC_SHARED)
#define MMHADAPTIVE_DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#endif

namespace mmhadaptive::cuda {

template <class T>
struct AccumulateOf {
  using type = float;
};
template <>
struct AccumulateOf<double> {
  using type = double;
};

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
struct ScalarMath;

template <>
struct ScalarMath<float> {
  using V = float;
  static __device__ __forceinline__ float half() {
    return 0.5f;
  }
  static __device__ __forceinline__ float absolute(float v) {
    return fabsf(v);
  }
  // The hardware's approximation and one Newton step, as accurate as a division and a third of it.
  static __device__ __forceinline__ float reciprocal(float v) {
#if defined(__CUDA_ARCH__)
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(v));
    return fmaf(r, fmaf(-v, r, 1.0f), r);
#else
    return 1 / v;
#endif
  }
  static __device__ __forceinline__ float reciprocal_root(float v) {
    return 1 / sqrtf(v);
  }
  static __device__ __forceinline__ float exponential(float v) {
    return expf(v);
  }
};

template <>
struct ScalarMath<double> {
  using V = double;
  static __device__ __forceinline__ double half() {
    return 0.5;
  }
  static __device__ __forceinline__ double absolute(double v) {
    return fabs(v);
  }
  static __device__ __forceinline__ double reciprocal(double v) {
    return 1 / v;
  }
  static __device__ __forceinline__ double reciprocal_root(double v) {
    return 1 / sqrt(v);
  }
  static __device__ __forceinline__ double exponential(double v) {
    return exp(v);
  }
};

// `count` elements that one instruction stores.
template <class T, int count>
struct alignas(sizeof(T) * count) Pack {
  T values[count];
};

// Both kinds of input are read in place, with the strides of the batch and of the rows: channels
// of adjacent pixels (planar, NCHW) or pixels of adjacent channels (interleaved, channels_last).
template <class T>
struct Input {
  const T* data;
  int64_t batch_stride;
  int64_t row_stride;

  template <bool interleaved>
  __device__ __forceinline__ const T* at(int64_t n, int64_t channel, int64_t pixel) const {
    return data + n * batch_stride +
           (interleaved ? pixel * row_stride + channel : channel * row_stride + pixel);
  }

  __device__ __forceinline__ const T* at(bool interleaved, int64_t n, int64_t channel,
                                         int64_t pixel) const {
    const int64_t row = interleaved ? pixel : channel;
    const int64_t column = interleaved ? channel : pixel;
    return data + n * batch_stride + row * row_stride + column;
  }
};

template <class A>
struct Parameters {
  const int64_t* index;  // batch x selected
  const A* gate;         // batch x selected
  const A* alpha;        // one; null without a normalisation, and so are the next two
  const A* weight;
  const A* bias;
};

// A wrong index fails a device-side assertion before anything is read through it.
__device__ __forceinline__ int64_t checked_channel(const int64_t* index, int s, int64_t channels) {
  const int64_t channel = index[s];
  assert(channel >= 0 && channel < channels && "mmhadaptive: index is out of range");
  return channel;
}

__device__ __forceinline__ void check_distinct(const int64_t* index, int s) {
  for (int other = 0; other < s; ++other) {
    assert(index[other] != index[s] && "mmhadaptive: index selects a channel more than once");
  }
}

// The normalisation of a kernel, known when the kernel is compiled or when it is launched. All
// threads of a launch take the same branch.
template <Norm norm>
struct FixedNorm {
  __device__ __forceinline__ bool has_parameters() const {
    return norm != Norm::kNone;
  }

  template <class A>
  __device__ __forceinline__ A value(A t) const {
    return Normalisation<norm, ScalarMath<A>>::value(t);
  }

  template <class A>
  __device__ __forceinline__ void value_and_slope(A t, A& value, A& slope) const {
    Normalisation<norm, ScalarMath<A>>::value_and_slope(t, value, slope);
  }
};

struct AnyNorm {
  Norm norm;

  __device__ __forceinline__ bool has_parameters() const {
    return norm != Norm::kNone;
  }

  template <class A>
  __device__ __forceinline__ A value(A t) const {
    switch (norm) {
      case Norm::kSoftsign:
        return FixedNorm<Norm::kSoftsign>{}.value(t);
      case Norm::kSigmoid:
        return FixedNorm<Norm::kSigmoid>{}.value(t);
      case Norm::kAlgebraic:
        return FixedNorm<Norm::kAlgebraic>{}.value(t);
      default:
        return t;
    }
  }

  template <class A>
  __device__ __forceinline__ void value_and_slope(A t, A& value, A& slope) const {
    switch (norm) {
      case Norm::kSoftsign:
        return FixedNorm<Norm::kSoftsign>{}.value_and_slope(t, value, slope);
      case Norm::kSigmoid:
        return FixedNorm<Norm::kSigmoid>{}.value_and_slope(t, value, slope);
      case Norm::kAlgebraic:
        return FixedNorm<Norm::kAlgebraic>{}.value_and_slope(t, value, slope);
      default:
        return FixedNorm<Norm::kNone>{}.value_and_slope(t, value, slope);
    }
  }
};

}  // namespace mmhadaptive::cuda
