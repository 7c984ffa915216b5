#include "cross_hadamard.h"
#include "forward_kernels.cuh"
#include "launch.cuh"
#include "plan.h"

namespace mmhadaptive::cuda {
namespace {

enum class Strategy { kDirect, kParity, kTiled };

// No GPU was at hand to measure a rule with. `tiled` is what was designed to be fastest.
Strategy strategy_of(const std::string& name) {
  if (name == "direct") {
    return Strategy::kDirect;
  }
  return name == "parity" ? Strategy::kParity : Strategy::kTiled;
}

template <class T, bool interleaved>
void launch_elementwise(const Forward<T>& op, Norm norm, bool parity, cudaStream_t stream) {
  const int64_t out_channels = op.shape.channels + op.shape.pairs;
  const int64_t fast = interleaved ? out_channels : op.shape.pixels;
  const int64_t slow = interleaved ? op.shape.pixels : out_channels;
  const unsigned x = static_cast<unsigned>(
      std::min<int64_t>(kForwardThreads, ceil_divide<int64_t>(fast, 32) * 32));
  const dim3 block(x, kForwardThreads / x);
  const dim3 grid(
      static_cast<unsigned>(std::min<int64_t>(ceil_divide<int64_t>(fast, block.x), 1 << 30)),
      static_cast<unsigned>(std::min<int64_t>(ceil_divide<int64_t>(slow, block.y), kMaxGridYZ)),
      static_cast<unsigned>(std::min<int64_t>(op.shape.batch, kMaxGridYZ)));
  if (parity) {
    launch(forward_elementwise<T, interleaved, true>, grid, block, 0, stream, op, norm);
  } else {
    launch(forward_elementwise<T, interleaved, false>, grid, block, 0, stream, op, norm);
  }
}

template <class T>
ForwardSize size_of(const Shape& shape, int multiprocessors) {
  using A = typename AccumulateOf<T>::type;
  return {shape.batch, shape.channels, shape.pixels,         shape.selected, shape.pairs,
          sizeof(T),   sizeof(A),      sizeof(PairEntry<A>), multiprocessors};
}

template <class T, Norm norm>
void launch_tiled_planar(const Forward<T>& op, int multiprocessors, cudaStream_t stream) {
  constexpr int kFull = 16 / sizeof(T);
  const ForwardPlan plan = plan_planar(size_of<T>(op.shape, multiprocessors));
  auto* kernel =
      plan.width == kFull ? forward_tiled_planar<T, norm, kFull> : forward_tiled_planar<T, norm, 1>;
  launch(kernel, dim3(plan.grid_x, plan.grid_y, plan.grid_z), dim3(kForwardThreads),
         plan.shared_bytes, stream, op, plan.tile, plan.channels_per_block);
}

template <class T, Norm norm, int width = 16 / sizeof(T)>
void launch_tiled_interleaved(const Forward<T>& op, const ForwardPlan& plan, cudaStream_t stream) {
  if constexpr (width > 1) {
    if (plan.width < width) {
      return launch_tiled_interleaved<T, norm, width / 2>(op, plan, stream);
    }
  }
  launch(forward_tiled_interleaved<T, norm, width>, dim3(plan.grid_x, plan.grid_y, plan.grid_z),
         dim3(kForwardThreads), plan.shared_bytes, stream, op, plan.tile);
}

template <class T>
void launch_forward(const Forward<T>& op, Norm norm, bool interleaved, Strategy strategy,
                    int multiprocessors, cudaStream_t stream) {
  if (strategy != Strategy::kTiled) {
    const bool parity = strategy == Strategy::kParity;
    return interleaved ? launch_elementwise<T, true>(op, norm, parity, stream)
                       : launch_elementwise<T, false>(op, norm, parity, stream);
  }
  with_norm(norm, [&](auto constant) {
    constexpr Norm kNorm = decltype(constant)::value;
    if (interleaved) {
      const ForwardPlan plan = plan_interleaved(size_of<T>(op.shape, multiprocessors));
      launch_tiled_interleaved<T, kNorm>(op, plan, stream);
    } else {
      launch_tiled_planar<T, kNorm>(op, multiprocessors, stream);
    }
  });
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
  const bool interleaved = format == MemoryFormat::ChannelsLast;
  with_element(x.scalar_type(), [&](auto element) {
    using T = typename decltype(element)::type;
    using A = typename AccumulateOf<T>::type;
    const Forward<T> op{shape, small.parameters<A>(), input_of<T>(x, format),
                        static_cast<T*>(y.mutable_data_ptr())};
    launch_forward(op, norm, interleaved, strategy_of(strategy), multiprocessors(x),
                   current_stream(x));
  });
  return y;
}

}  // namespace mmhadaptive::cuda
