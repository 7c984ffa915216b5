// From calls to kernels: what both directions need on the host.
#pragma once

#include "cross_hadamard.h"
#include "cross_hadamard_device.cuh"
#include "launch.cuh"

namespace mmhadaptive::cuda {

// The networks' normalisation has kernels of its own. The others share theirs, so that there are
// fewer to compile, and so do all in double.
template <class T, class Body>
cudaError_t with_norm(Norm norm, const Body& body) {
  if constexpr (sizeof(T) < sizeof(double)) {
    if (norm == Norm::kSoftsign) {
      return body(FixedNorm<Norm::kSoftsign>{});
    }
  }
  return body(AnyNorm{norm});
}

template <class T>
Input<T> input_of(const AnyInput& input) {
  return {static_cast<const T*>(input.data), input.batch_stride, input.row_stride};
}

template <class A>
Parameters<A> parameters_of(const AnyParameters& p) {
  return {p.index, static_cast<const A*>(p.gate), static_cast<const A*>(p.alpha),
          static_cast<const A*>(p.weight), static_cast<const A*>(p.bias)};
}

}  // namespace mmhadaptive::cuda
