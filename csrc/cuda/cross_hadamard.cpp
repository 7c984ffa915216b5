#include "cross_hadamard.h"

#include <torch/csrc/stable/accelerator.h>

#include "kernels.h"
#include "plan.h"

namespace mmhadaptive::cuda {
namespace {

void check_cuda(cudaError_t error, const char* what, int64_t selected) {
  STD_TORCH_CHECK(error == cudaSuccess, "mmhadaptive, ", what, " with ", selected,
                  " selected channels: ", cudaGetErrorString(error));
}

cudaStream_t current_stream(const Tensor& t) {
  void* stream = nullptr;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(t.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

int multiprocessors(const Tensor& t) {
  int count = 0;
  const cudaError_t error =
      cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, t.get_device_index());
  STD_TORCH_CHECK(error == cudaSuccess,
                  "mmhadaptive, device attribute: ", cudaGetErrorString(error));
  return count;
}

// No GPU was at hand to measure a rule with. `tiled` is what was designed to be fastest.
Strategy strategy_of(const std::string& name) {
  if (name == "direct") {
    return Strategy::kDirect;
  }
  return name == "parity" ? Strategy::kParity : Strategy::kTiled;
}

Element element_of(const Tensor& x) {
  switch (x.scalar_type()) {
    case ScalarType::Double:
      return Element::kDouble;
    case ScalarType::BFloat16:
      return Element::kBFloat16;
    case ScalarType::Half:
      return Element::kHalf;
    default:
      return Element::kFloat;
  }
}

Shape shape_of(const Tensor& x, const Tensor& index) {
  const int k = static_cast<int>(index.size(1));
  return {x.size(0), x.size(1), x.size(2) * x.size(3), k, pair_count(k)};
}

AnyInput input_of(const Tensor& t, MemoryFormat format) {
  return {t.const_data_ptr(), t.stride(0), row_stride(t, format)};
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

  AnyParameters parameters() const {
    const auto pointer = [](const OptionalTensor& t) {
      return t.has_value() ? t->const_data_ptr() : nullptr;
    };
    return {index.const_data_ptr<int64_t>(), gate.const_data_ptr(), pointer(alpha), pointer(weight),
            pointer(bias)};
  }
};

Call call_of(const Tensor& x, const SmallTensors& small, Norm norm, MemoryFormat format) {
  return {shape_of(x, small.index),
          small.parameters(),
          input_of(x, format),
          element_of(x),
          norm,
          format == MemoryFormat::ChannelsLast,
          multiprocessors(x),
          current_stream(x)};
}

}  // namespace

Tensor forward(const Tensor& x_, const Tensor& index, const Tensor& gate,
               const OptionalTensor& alpha, const OptionalTensor& weight,
               const OptionalTensor& bias, const std::string& norm_name,
               const std::string& strategy) {
  const Norm norm = parse_norm(norm_name);
  check_strategy(strategy);
  check_tensors(x_, index, gate);
  const Shape shape = shape_of(x_, index);
  check_parameter("alpha", alpha, 1, norm, x_);
  check_parameter("weight", weight, shape.pairs, norm, x_);
  check_parameter("bias", bias, shape.pairs, norm, x_);
  const torch::stable::accelerator::DeviceGuard guard(x_.get_device_index());
  const MemoryFormat format = memory_format_of(x_);
  const Tensor x = with_format(x_, format);
  const SmallTensors small(index, gate, alpha, weight, bias);
  Tensor y =
      empty_like(x, {shape.batch, shape.channels + shape.pairs, x.size(2), x.size(3)}, format);
  if (y.numel() == 0) {
    return y;
  }
  check_cuda(
      forward({call_of(x, small, norm, format), strategy_of(strategy), y.mutable_data_ptr()}),
      "forward", shape.selected);
  return y;
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> backward(
    const Tensor& dy_, const Tensor& x_, const Tensor& index, const Tensor& gate,
    const OptionalTensor& alpha, const OptionalTensor& weight, const std::string& norm_name,
    bool need_x, bool need_gate, bool need_alpha, bool need_weight, bool need_bias) {
  const Norm norm = parse_norm(norm_name);
  check_tensors(x_, index, gate);
  const Shape shape = shape_of(x_, index);
  check_parameter("alpha", alpha, 1, norm, x_);
  check_parameter("weight", weight, shape.pairs, norm, x_);
  check_gradient(dy_, x_, shape.pairs);
  const torch::stable::accelerator::DeviceGuard guard(x_.get_device_index());
  const MemoryFormat format = memory_format_of(x_);
  const Tensor x = with_format(x_, format);
  const Tensor dy = with_format(dy_, format);
  const SmallTensors small(index, gate, alpha, weight, std::nullopt);
  const ScalarType type = accumulate_type(x);

  Tensor dx = need_x ? empty_like(x, {shape.batch, shape.channels, x.size(2), x.size(3)}, format)
                     : empty_vector(x, 0, x.scalar_type());
  Tensor dgate =
      need_gate ? torch::stable::new_empty(gate, gate.sizes()) : empty_vector(x, 0, type);
  Tensor dalpha = empty_vector(x, need_alpha ? 1 : 0, type);
  Tensor dweight = empty_vector(x, need_weight ? shape.pairs : 0, type);
  Tensor dbias = empty_vector(x, need_bias ? shape.pairs : 0, type);

  const Call call = call_of(x, small, norm, format);
  const BackwardPlan plan =
      plan_backward(shape.batch, shape.pixels, shape.selected, call.multiprocessors);
  Tensor selected_sums = empty_vector(x, plan.selected_sums(shape.batch, shape.selected), type);
  Tensor pair_sums = empty_vector(x, plan.pair_sums(shape.pairs), type);
  Tensor dalpha_parts = empty_vector(x, plan.alpha_parts, ScalarType::Double);

  const auto pointer = [](bool needed, const Tensor& t) {
    return needed ? t.mutable_data_ptr() : nullptr;
  };
  check_cuda(backward({call, input_of(dy, format), pointer(need_x, dx), pointer(need_gate, dgate),
                       pointer(need_alpha, dalpha), pointer(need_weight, dweight),
                       pointer(need_bias, dbias), selected_sums.mutable_data_ptr(),
                       pair_sums.mutable_data_ptr(), dalpha_parts.mutable_data_ptr<double>()}),
             "backward", shape.selected);
  return {dx, dgate, dalpha, dweight, dbias};
}

}  // namespace mmhadaptive::cuda
