// The step from selected channels through the depthwise convolution on tensors, the same for every
// device: checks, outputs. What differs is given as a type:
//
//   struct Device {
//     struct Guard { explicit Guard(const Tensor& x); };  // held while tensors are made
//     static void cross_hadamard_depthwise(const CrossHadamardDepthwiseCall& call,
//                                          const Tensor& x);
//   };
#pragma once

#include <string>

#include "../core/cross_hadamard_depthwise_call.h"
#include "cross_hadamard_checks.h"
#include "tensors.h"

namespace mmhadaptive {

inline Activation parse_activation(const std::string& name) {
  if (name == "relu") {
    return Activation::kRelu;
  }
  if (name == "hardswish") {
    return Activation::kHardswish;
  }
  STD_TORCH_CHECK(name == "none", "activation must be 'none', 'relu' or 'hardswish', got '", name,
                  "'");
  return Activation::kNone;
}

template <class Device>
Tensor cross_hadamard_depthwise(const Tensor& x, const Tensor& index, const Tensor& alpha,
                                const Tensor& norm_weight, const Tensor& norm_bias,
                                const Tensor& weight, const Tensor& bias, int64_t stride,
                                int64_t padding, const std::string& norm,
                                const std::string& activation) {
  check_index(x, index);
  const Norm parsed = parse_norm(norm);
  const Activation act = parse_activation(activation);
  const int selected = static_cast<int>(index.size(1));
  const int pairs = pair_count(selected);
  const int64_t channels = x.size(1), width = channels + pairs;
  check_vector("alpha", alpha, 1, x);
  check_vector("norm_weight", norm_weight, pairs, x);
  check_vector("norm_bias", norm_bias, pairs, x);
  check_vector("bias", bias, width, x);
  STD_TORCH_CHECK(weight.dim() == 4 && weight.size(0) == width && weight.size(1) == 1 &&
                      weight.size(2) == weight.size(3) && weight.size(2) >= 1 &&
                      weight.size(2) <= kMaxKernel,
                  "weight must have shape (", width, ", 1, k, k) with k of 1 to ", kMaxKernel);
  STD_TORCH_CHECK(weight.scalar_type() == accumulate_type(x) && weight.device() == x.device(),
                  "weight must be on the device of x, and float64 if x is float64, else float32");
  const int64_t kernel = weight.size(2);
  STD_TORCH_CHECK(stride >= 1 && stride <= kMaxStride, "stride must be 1 to ", kMaxStride,
                  ", got ", stride);
  STD_TORCH_CHECK(padding >= 0 && padding < kernel, "padding must be 0 to ", kernel - 1,
                  " with kernels of ", kernel, " pixels, got ", padding);
  STD_TORCH_CHECK(x.size(2) >= 1 && x.size(3) >= 1 && x.size(2) + 2 * padding >= kernel &&
                      x.size(3) + 2 * padding >= kernel,
                  "a kernel of ", kernel, " pixels does not fit on maps of ", x.size(2), "x",
                  x.size(3), " with a padding of ", padding);
  [[maybe_unused]] const typename Device::Guard guard(x);
  const MemoryFormat format = memory_format_of(x);
  const Tensor dense_x = torch::stable::contiguous(x, format);
  const Tensor small[] = {
      torch::stable::contiguous(index),     torch::stable::contiguous(alpha),
      torch::stable::contiguous(norm_weight), torch::stable::contiguous(norm_bias),
      torch::stable::contiguous(weight),    torch::stable::contiguous(bias)};
  const DepthwiseShape shape{x.size(0),
                             channels,
                             x.size(2),
                             x.size(3),
                             static_cast<int>(kernel),
                             static_cast<int>(stride),
                             static_cast<int>(padding)};
  Tensor y = empty_like(x, {shape.batch, width, shape.out_height(), shape.out_width()}, format);
  const bool interleaved = format == MemoryFormat::ChannelsLast;
  const int64_t pixels = shape.height * shape.width;
  Device::cross_hadamard_depthwise(
      {shape,
       selected,
       pairs,
       small[0].const_data_ptr<int64_t>(),
       parsed,
       small[1].const_data_ptr(),
       small[2].const_data_ptr(),
       small[3].const_data_ptr(),
       small[4].const_data_ptr(),
       small[5].const_data_ptr(),
       act,
       {dense_x.const_data_ptr(), channels * pixels, interleaved ? channels : pixels},
       y.mutable_data_ptr(),
       element_of(x),
       interleaved ? Layout::kInterleaved : Layout::kPlanar},
      x);
  return y;
}

}  // namespace mmhadaptive
