#include <algorithm>

#include "cross_hadamard_forward_kernels.cuh"
#include "cross_hadamard_launch.cuh"

namespace mmhadaptive::cuda {
namespace {

template <class T>
cudaError_t launch_elementwise(const Forward<T>& op, const ForwardCall& call,
                               cudaStream_t stream) {
  const bool interleaved = call.layout == Layout::kInterleaved;
  const int64_t out_channels = op.shape.channels + op.shape.pairs;
  const int64_t fast = interleaved ? out_channels : op.shape.pixels;
  const int64_t slow = interleaved ? op.shape.pixels : out_channels;
  const unsigned x =
      static_cast<unsigned>(std::min<int64_t>(kForwardThreads, divide_up(fast, 32) * 32));
  const dim3 block(x, kForwardThreads / x);
  const dim3 grid(static_cast<unsigned>(std::min<int64_t>(divide_up(fast, block.x), 1 << 30)),
                  static_cast<unsigned>(std::min<int64_t>(divide_up(slow, block.y), kMaxGridYZ)),
                  static_cast<unsigned>(std::min<int64_t>(op.shape.batch, kMaxGridYZ)));
  return launch(forward_elementwise<T>, grid, block, 0, stream, op, interleaved,
                AnyNorm{call.norm});
}

template <class T>
cudaError_t launch_blocks(const Forward<T>& op, const ForwardCall& call, Strategy strategy,
                          cudaStream_t stream) {
  auto* kernel =
      strategy == Strategy::kParity ? forward_blocks<T, true> : forward_blocks<T, false>;
  const int64_t threads = std::min<int64_t>(kForwardThreads, divide_up(op.shape.pixels, 32) * 32);
  const dim3 grid(blocks_per_image(op.shape, strategy),
                  static_cast<unsigned>(std::min<int64_t>(op.shape.batch, kMaxGridYZ)));
  return launch(kernel, grid, dim3(static_cast<unsigned>(threads)), 0, stream, op,
                call.layout == Layout::kInterleaved, AnyNorm{call.norm});
}

template <class T, class NormOf>
cudaError_t launch_planar(const Forward<T>& op, NormOf norm, const ForwardPlan& plan,
                          cudaStream_t stream) {
  constexpr int kFull = 16 / sizeof(T);
  auto* kernel = plan.width == kFull ? forward_tiled_planar<T, kFull, NormOf>
                                     : forward_tiled_planar<T, 1, NormOf>;
  return launch(kernel, dim3(plan.grid_x, plan.grid_y, plan.grid_z), dim3(kForwardThreads),
                plan.shared_bytes, stream, op, norm, plan.tile, plan.channels_per_block);
}

template <class T, class NormOf, int width = 16 / sizeof(T)>
cudaError_t launch_interleaved(const Forward<T>& op, NormOf norm, const ForwardPlan& plan,
                               cudaStream_t stream) {
  if constexpr (width > 1) {
    if (plan.width < width) {
      return launch_interleaved<T, NormOf, width / 2>(op, norm, plan, stream);
    }
  }
  return launch(forward_tiled_interleaved<T, width, NormOf>,
                dim3(plan.grid_x, plan.grid_y, plan.grid_z), dim3(kForwardThreads),
                plan.shared_bytes, stream, op, norm, plan.tile);
}

template <class T>
cudaError_t launch_tiled(const Forward<T>& op, const ForwardCall& call, int multiprocessors,
                         cudaStream_t stream) {
  using A = typename AccumulateOf<T>::type;
  const ForwardSize size{op.shape, sizeof(T), sizeof(A), sizeof(PairEntry<A>), multiprocessors};
  return with_norm<T>(call.norm, [&](auto norm) {
    return call.layout == Layout::kInterleaved
               ? launch_interleaved(op, norm, plan_interleaved(size), stream)
               : launch_planar(op, norm, plan_planar(size), stream);
  });
}

}  // namespace

cudaError_t forward(const ForwardCall& call, Strategy strategy, int multiprocessors,
                    cudaStream_t stream) {
  if (call.shape.batch == 0 || call.shape.pixels == 0) {
    return cudaSuccess;
  }
  return with_element(call.element, [&](auto element) {
    using T = typename decltype(element)::type;
    using A = typename AccumulateOf<T>::type;
    const Forward<T> op{call.shape, parameters_of<A>(call.parameters), input_of<T>(call.x),
                        static_cast<T*>(call.y)};
    // Double is there for gradcheck: right, not tuned.
    if constexpr (sizeof(T) < sizeof(double)) {
      if (strategy == Strategy::kTiled) {
        return launch_tiled(op, call, multiprocessors, stream);
      }
      if (strategy != Strategy::kElementwise) {
        return launch_blocks(op, call, strategy, stream);
      }
    }
    return launch_elementwise(op, call, stream);
  });
}

}  // namespace mmhadaptive::cuda
