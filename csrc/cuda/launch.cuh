// Launches of kernels, and element types that are known when the host runs.
#pragma once

#include <cuda_runtime.h>

#include "device.cuh"

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

}  // namespace mmhadaptive::cuda
