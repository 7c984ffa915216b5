// The operator on tensors, the same for every device: checks, copies where strides are none that
// the kernels take, outputs. What differs is given as a type:
//
//   struct Device {
//     struct Guard { explicit Guard(const Tensor& x); };  // held while tensors are made
//     static void forward(const ForwardCall& call, const Tensor& x, Strategy strategy);
//     static void backward(const BackwardCall& call, const Tensor& x);
//   };
#pragma once

#include <tuple>

#include "../core/cross_hadamard_call.h"
#include "cross_hadamard_checks.h"
#include "tensors.h"

namespace mmhadaptive {

inline Shape shape_of(const Tensor& x, const Tensor& index) {
  const int k = static_cast<int>(index.size(1));
  return {x.size(0), x.size(1), x.size(2) * x.size(3), k, pair_count(k)};
}

inline AnyInput input_of(const Tensor& t, MemoryFormat format) {
  return {t.const_data_ptr(), t.stride(0), row_stride(t, format)};
}

// The tensors that the pointers of a call point to.
struct Arguments {
  MemoryFormat format;
  Tensor x;
  Tensor index;
  Tensor gate;
  OptionalTensor alpha;
  OptionalTensor weight;
  OptionalTensor bias;

  Arguments(const Tensor& x, const Tensor& index, const Tensor& gate, const OptionalTensor& alpha,
            const OptionalTensor& weight, const OptionalTensor& bias)
      : format(memory_format_of(x)),
        x(with_format(x, format)),
        index(torch::stable::contiguous(index)),
        gate(torch::stable::contiguous(gate)),
        alpha(contiguous(alpha)),
        weight(contiguous(weight)),
        bias(contiguous(bias)) {
  }

  Call call(Norm norm) const {
    const auto pointer = [](const OptionalTensor& t) {
      return t.has_value() ? t->const_data_ptr() : nullptr;
    };
    return {shape_of(x, index),
            {index.const_data_ptr<int64_t>(), gate.const_data_ptr(), pointer(alpha),
             pointer(weight), pointer(bias)},
            input_of(x, format),
            element_of(x),
            norm,
            format == MemoryFormat::ChannelsLast ? Layout::kInterleaved : Layout::kPlanar};
  }
};

template <class Device>
Tensor forward(const Tensor& x, const Tensor& index, const Tensor& gate,
               const OptionalTensor& alpha, const OptionalTensor& weight,
               const OptionalTensor& bias, const std::string& norm_name,
               const std::string& strategy) {
  const Norm norm = check_arguments(x, index, gate, alpha, weight, norm_name);
  const Shape shape = shape_of(x, index);
  check_parameter("bias", bias, shape.pairs, norm, x);
  const Strategy parsed = parse_strategy(strategy);
  [[maybe_unused]] const typename Device::Guard guard(x);
  const Arguments arguments(x, index, gate, alpha, weight, bias);
  Tensor y = empty_like(x, {shape.batch, shape.channels + shape.pairs, x.size(2), x.size(3)},
                        arguments.format);
  Device::forward({arguments.call(norm), y.mutable_data_ptr()}, x, parsed);
  return y;
}

// (dx, dgate, dalpha, dweight, dbias). What is not needed is an empty tensor of shape (0,).
template <class Device>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> backward(
    const Tensor& dy, const Tensor& x, const Tensor& index, const Tensor& gate,
    const OptionalTensor& alpha, const OptionalTensor& weight, const std::string& norm_name,
    bool need_x, bool need_gate, bool need_alpha, bool need_weight, bool need_bias) {
  const Norm norm = check_arguments(x, index, gate, alpha, weight, norm_name);
  const Shape shape = shape_of(x, index);
  check_gradient(dy, x, shape.pairs);
  [[maybe_unused]] const typename Device::Guard guard(x);
  const Arguments arguments(x, index, gate, alpha, weight, std::nullopt);
  const Tensor dy_in_format = with_format(dy, arguments.format);

  const ScalarType type = accumulate_type(x);
  Tensor dx =
      need_x ? empty_like(x, {shape.batch, shape.channels, x.size(2), x.size(3)}, arguments.format)
             : empty_vector(x, 0, x.scalar_type());
  Tensor dgate =
      need_gate ? torch::stable::new_empty(gate, gate.sizes()) : empty_vector(x, 0, type);
  Tensor dalpha = empty_vector(x, need_alpha ? 1 : 0, type);
  Tensor dweight = empty_vector(x, need_weight ? shape.pairs : 0, type);
  Tensor dbias = empty_vector(x, need_bias ? shape.pairs : 0, type);
  const auto pointer = [](bool needed, const Tensor& t) {
    return needed ? t.mutable_data_ptr() : nullptr;
  };
  Device::backward({arguments.call(norm), input_of(dy_in_format, arguments.format),
                    pointer(need_x, dx), pointer(need_gate, dgate), pointer(need_alpha, dalpha),
                    pointer(need_weight, dweight), pointer(need_bias, dbias)},
                   x);
  return {dx, dgate, dalpha, dweight, dbias};
}

}  // namespace mmhadaptive
