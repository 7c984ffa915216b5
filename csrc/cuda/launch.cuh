// From calls to kernels: what both directions need on the host.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>

#include "device.cuh"
#include "kernels.h"
#include "plan.h"

namespace mmhadaptive::cuda {

constexpr size_t kDefaultSharedBytes = 48 * 1024;

template <class Kernel, class... Arguments>
cudaError_t launch(Kernel* kernel, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                   const Arguments&... arguments) {
  if (shared > kDefaultSharedBytes) {
    const cudaError_t error =
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (error != cudaSuccess) {
      return error;
    }
  }
  kernel<<<grid, block, shared, stream>>>(arguments...);
  return cudaGetLastError();
}

template <class T>
struct TypeTag {
  using type = T;
};

template <class Body>
cudaError_t with_element(Element element, const Body& body) {
  switch (element) {
    case Element::kDouble:
      return body(TypeTag<double>{});
    case Element::kHalf:
      return body(TypeTag<__half>{});
    case Element::kBFloat16:
      return body(TypeTag<__nv_bfloat16>{});
    default:
      return body(TypeTag<float>{});
  }
}

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
