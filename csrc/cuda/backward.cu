#include "backward_kernels.cuh"
#include "launch.cuh"

namespace mmhadaptive::cuda {
namespace {

template <class T, class NormOf>
cudaError_t launch_tiled(const Backward<T>& op, NormOf norm, const BackwardPlan& plan,
                         const BackwardCall& call) {
  using A = typename AccumulateOf<T>::type;
  // Double takes twice the shared memory for every copy of d z.
  constexpr int kWarps = sizeof(T) == 8 ? 2 : 4;
  const BackwardShared<A> shared(nullptr, op.shape.selected, op.shape.pairs, op.shape.channels,
                                 kWarps, call.interleaved);
  return launch(backward_tiled<T, kWarps, NormOf>, dim3(static_cast<unsigned>(plan.blocks)),
                dim3(kWarps * kLanes), shared.bytes, call.stream, op, call.interleaved, norm);
}

template <class A>
cudaError_t launch_finish(const A* selected_sums, const A* pair_sums, const BackwardPlan& plan,
                          const BackwardCall& call) {
  const Shape& shape = call.shape;
  const Parameters<A> parameters = parameters_of<A>(call.parameters);
  const int64_t selected = shape.batch * shape.selected;
  if (selected > 0) {
    const cudaError_t error = launch(
        finish_selected<A>, dim3(static_cast<unsigned>(plan.alpha_parts)), dim3(kFinishThreads), 0,
        call.stream, selected_sums, parameters.gate, parameters.alpha, plan.tiles, selected,
        shape.selected, static_cast<A*>(call.dgate), call.dalpha_parts);
    if (error != cudaSuccess) {
      return error;
    }
  }
  const auto columns = static_cast<unsigned>(divide_up(2 * shape.pairs, kLanes));
  return launch(finish_pairs<A>, dim3(columns + 1), dim3(kFinishThreads), 0, call.stream, pair_sums,
                plan.blocks, shape.pairs, static_cast<const double*>(call.dalpha_parts),
                plan.alpha_parts, static_cast<A*>(call.dweight), static_cast<A*>(call.dbias),
                static_cast<A*>(call.dalpha));
}

}  // namespace

cudaError_t backward(const BackwardCall& call) {
  const Shape& shape = call.shape;
  const BackwardPlan plan =
      plan_backward(shape.batch, shape.pixels, shape.selected, call.multiprocessors);
  return with_element(call.element, [&](auto element) {
    using T = typename decltype(element)::type;
    using A = typename AccumulateOf<T>::type;
    const Backward<T> op{shape,
                         parameters_of<A>(call.parameters),
                         input_of<T>(call.x),
                         input_of<T>(call.dy),
                         static_cast<T*>(call.dx),
                         static_cast<A*>(call.selected_sums),
                         static_cast<A*>(call.pair_sums),
                         plan.tiles,
                         plan.tiles_per_block};
    if (plan.blocks > 0) {
      const cudaError_t error =
          with_norm<T>(call.norm, [&](auto norm) { return launch_tiled(op, norm, plan, call); });
      if (error != cudaSuccess) {
        return error;
      }
    }
    return launch_finish<A>(op.selected_sums, op.pair_sums, plan, call);
  });
}

}  // namespace mmhadaptive::cuda
