// The depthwise convolution on tensors: schema, checks, outputs, registration. Fake, autograd and
// autocast rules are in mmhadaptive/ops.
#include <torch/csrc/stable/library.h>

#include <tuple>

#include "../cpu/depthwise_convolution.h"
#include "tensors.h"

namespace mmhadaptive {
namespace {

void parallel_for(int64_t size, int64_t grain, const cpu::Body& body) {
  torch::stable::parallel_for(0, size, grain, body);
}

DepthwiseShape checked_shape(const Tensor& x, const Tensor& weight, int64_t stride,
                             int64_t padding) {
  STD_TORCH_CHECK(x.dim() == 4 && x.size(1) >= 1,
                  "x must have 4 dimensions (N, C, H, W) and a channel, got ", x.dim());
  const ScalarType type = x.scalar_type();
  STD_TORCH_CHECK(type == ScalarType::Float || type == ScalarType::Double ||
                      type == ScalarType::BFloat16,
                  "x must be float32, float64 or bfloat16");
  STD_TORCH_CHECK(weight.dim() == 4 && weight.size(0) == x.size(1) && weight.size(1) == 1 &&
                      weight.size(2) == weight.size(3),
                  "weight must have shape (C, 1, k, k) with C = ", x.size(1), " of x");
  STD_TORCH_CHECK(weight.scalar_type() == accumulate_type(x) && weight.device() == x.device(),
                  "weight must be on the device of x, and float64 if x is float64, else float32");
  const int64_t kernel = weight.size(2);
  STD_TORCH_CHECK(kernel >= 1 && kernel <= kMaxKernel, "weight must have kernels of 1 to ",
                  kMaxKernel, " pixels, got ", kernel);
  STD_TORCH_CHECK(stride >= 1 && stride <= kMaxStride, "stride must be 1 to ", kMaxStride,
                  ", got ", stride);
  STD_TORCH_CHECK(padding >= 0 && padding < kernel, "padding must be 0 to ", kernel - 1,
                  " with kernels of ", kernel, " pixels, got ", padding);
  STD_TORCH_CHECK(x.size(2) >= 1 && x.size(3) >= 1 && x.size(2) + 2 * padding >= kernel &&
                      x.size(3) + 2 * padding >= kernel,
                  "a kernel of ", kernel, " pixels does not fit on maps of ", x.size(2), "x",
                  x.size(3), " with a padding of ", padding);
  return {x.size(0),
          x.size(1),
          x.size(2),
          x.size(3),
          static_cast<int>(kernel),
          static_cast<int>(stride),
          static_cast<int>(padding)};
}

AnyInput input_of(const Tensor& t, MemoryFormat format) {
  return {t.const_data_ptr(), t.stride(0), row_stride(t, format)};
}

// The tensors that the pointers of a call point to.
struct Arguments {
  DepthwiseShape shape;
  MemoryFormat format;
  Tensor x;
  Tensor weight;

  Arguments(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding)
      : shape(checked_shape(x, weight, stride, padding)),
        format(memory_format_of(x)),
        x(with_format(x, format)),
        weight(torch::stable::contiguous(weight)) {
  }

  DepthwiseCall call() const {
    return {shape, input_of(x, format), weight.const_data_ptr(), element_of(x),
            format == MemoryFormat::ChannelsLast ? Layout::kInterleaved : Layout::kPlanar};
  }
};

Tensor forward(const Tensor& x, const Tensor& weight, const OptionalTensor& bias, int64_t stride,
               int64_t padding) {
  const Arguments arguments(x, weight, stride, padding);
  const DepthwiseShape& shape = arguments.shape;
  OptionalTensor dense_bias;
  if (bias.has_value()) {
    STD_TORCH_CHECK(bias->dim() == 1 && bias->size(0) == shape.channels &&
                        bias->scalar_type() == weight.scalar_type() &&
                        bias->device() == x.device(),
                    "bias must have shape (", shape.channels, ",), and type and device of weight");
    dense_bias = torch::stable::contiguous(*bias);
  }
  Tensor y = empty_like(x, {shape.batch, shape.channels, shape.out_height(), shape.out_width()},
                        arguments.format);
  const void* bias_data = dense_bias.has_value() ? dense_bias->const_data_ptr() : nullptr;
  cpu::depthwise_forward({arguments.call(), bias_data, y.mutable_data_ptr()}, parallel_for);
  return y;
}

// (dx, dweight). What is not needed is an empty tensor of shape (0,).
std::tuple<Tensor, Tensor> backward(const Tensor& dy, const Tensor& x, const Tensor& weight,
                                    int64_t stride, int64_t padding, bool need_x,
                                    bool need_weight) {
  const Arguments arguments(x, weight, stride, padding);
  const DepthwiseShape& shape = arguments.shape;
  STD_TORCH_CHECK(dy.dim() == 4 && dy.size(0) == shape.batch && dy.size(1) == shape.channels &&
                      dy.size(2) == shape.out_height() && dy.size(3) == shape.out_width(),
                  "dy must have the shape of the output");
  STD_TORCH_CHECK(dy.scalar_type() == x.scalar_type() && dy.device() == x.device(),
                  "dy must have the dtype and the device of x");
  const Tensor dy_in_format = with_format(dy, arguments.format);
  Tensor dx = need_x ? empty_like(x, {shape.batch, shape.channels, shape.height, shape.width},
                                  arguments.format)
                     : empty_vector(x, 0, x.scalar_type());
  Tensor dweight =
      need_weight ? empty_like(arguments.weight, {shape.channels, 1, shape.kernel, shape.kernel},
                               MemoryFormat::Contiguous)
                  : empty_vector(x, 0, weight.scalar_type());
  cpu::depthwise_backward({arguments.call(), input_of(dy_in_format, arguments.format),
                           need_x ? dx.mutable_data_ptr() : nullptr,
                           need_weight ? dweight.mutable_data_ptr() : nullptr},
                          parallel_for);
  return {dx, dweight};
}

}  // namespace
}  // namespace mmhadaptive

STABLE_TORCH_LIBRARY_FRAGMENT(mmhadaptive, m) {
  m.def(
      "depthwise_conv2d(Tensor x, Tensor weight, Tensor? bias, int stride, int padding) -> Tensor");
  m.def(
      "depthwise_conv2d_backward(Tensor dy, Tensor x, Tensor weight, int stride, int padding, "
      "bool need_x, bool need_weight) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(mmhadaptive, CPU, m) {
  m.impl("depthwise_conv2d", TORCH_BOX(&mmhadaptive::forward));
  m.impl("depthwise_conv2d_backward", TORCH_BOX(&mmhadaptive::backward));
}
