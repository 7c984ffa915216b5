// Inputs, checks and normalisations in the CUDA kernels.
#pragma once

#include <cassert>
#include <cstdint>

#include "../core/cross_hadamard_call.h"
#include "device.cuh"

namespace mmhadaptive::cuda {

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

  __device__ __forceinline__ A alpha_or_one() const {
    return alpha == nullptr ? A(1) : *alpha;
  }
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
