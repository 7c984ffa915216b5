// From tensors to kernels: what both directions need on the host.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/stable/accelerator.h>

#include <algorithm>
#include <type_traits>

#include "../arguments.h"
#include "device.cuh"

namespace mmhadaptive::cuda {

constexpr size_t kDefaultSharedBytes = 48 * 1024;

inline void check_cuda(cudaError_t error, const char* what) {
  STD_TORCH_CHECK(error == cudaSuccess, "mmhadaptive, ", what, ": ", cudaGetErrorString(error));
}

inline cudaStream_t current_stream(const Tensor& t) {
  void* stream = nullptr;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(t.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

inline int multiprocessors(const Tensor& t) {
  int count = 0;
  check_cuda(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, t.get_device_index()),
             "device attribute");
  return count;
}

template <class Kernel, class... Arguments>
void launch(Kernel* kernel, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
            const Arguments&... arguments) {
  if (shared > kDefaultSharedBytes) {
    check_cuda(
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
        "so many selected channels need more shared memory than the device has");
  }
  kernel<<<grid, block, shared, stream>>>(arguments...);
  check_cuda(cudaGetLastError(), "kernel launch");
}

template <class T>
struct TypeTag {
  using type = T;
};

template <class Body>
void with_element(ScalarType type, const Body& body) {
  switch (type) {
    case ScalarType::Double:
      return body(TypeTag<double>{});
    case ScalarType::Half:
      return body(TypeTag<__half>{});
    case ScalarType::BFloat16:
      return body(TypeTag<__nv_bfloat16>{});
    default:
      return body(TypeTag<float>{});
  }
}

template <class Body>
void with_norm(Norm norm, const Body& body) {
  switch (norm) {
    case Norm::kSoftsign:
      return body(std::integral_constant<Norm, Norm::kSoftsign>{});
    case Norm::kSigmoid:
      return body(std::integral_constant<Norm, Norm::kSigmoid>{});
    case Norm::kAlgebraic:
      return body(std::integral_constant<Norm, Norm::kAlgebraic>{});
    default:
      return body(std::integral_constant<Norm, Norm::kNone>{});
  }
}

inline Shape shape_of(const Tensor& x, const Tensor& index) {
  const int k = static_cast<int>(index.size(1));
  return {x.size(0), x.size(1), x.size(2) * x.size(3), k, pair_count(k)};
}

template <class T>
Input<T> input_of(const Tensor& t, MemoryFormat format) {
  return {static_cast<const T*>(t.const_data_ptr()), t.stride(0), row_stride(t, format)};
}

// Contiguous copies where they are needed; owns what `parameters` points to.
struct SmallTensors {
  Tensor index;
  Tensor gate;
  OptionalTensor alpha;
  OptionalTensor weight;
  OptionalTensor bias;

  SmallTensors(const Tensor& index, const Tensor& gate, const OptionalTensor& alpha,
               const OptionalTensor& weight, const OptionalTensor& bias)
      : index(torch::stable::contiguous(index)),
        gate(torch::stable::contiguous(gate)),
        alpha(contiguous(alpha)),
        weight(contiguous(weight)),
        bias(contiguous(bias)) {
  }

  static OptionalTensor contiguous(const OptionalTensor& t) {
    return t.has_value() ? OptionalTensor(torch::stable::contiguous(*t)) : std::nullopt;
  }

  template <class A>
  Parameters<A> parameters() const {
    const auto pointer = [](const OptionalTensor& t) {
      return t.has_value() ? static_cast<const A*>(t->const_data_ptr()) : nullptr;
    };
    return {index.const_data_ptr<int64_t>(), static_cast<const A*>(gate.const_data_ptr()),
            pointer(alpha), pointer(weight), pointer(bias)};
  }
};

template <class T>
T ceil_divide(T a, T b) {
  return (a + b - 1) / b;
}

}  // namespace mmhadaptive::cuda
