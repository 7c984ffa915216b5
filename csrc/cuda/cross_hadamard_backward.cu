#include "cross_hadamard_backward_kernels.cuh"
#include "cross_hadamard_launch.cuh"

namespace mmhadaptive::cuda {
namespace {

template <class T, class NormOf>
cudaError_t launch_tiled(const Backward<T>& op, NormOf norm, const BackwardPlan& plan,
                         bool interleaved, cudaStream_t stream) {
  using A = typename AccumulateOf<T>::type;
  // Double takes twice the shared memory for every copy of d z.
  constexpr int kWarps = sizeof(T) == 8 ? 2 : 4;
  const BackwardShared<A> shared(nullptr, op.shape.selected, op.shape.pairs, op.shape.channels,
                                 kWarps, interleaved);
  return launch(backward_tiled<T, kWarps, NormOf>, dim3(static_cast<unsigned>(plan.blocks)),
                dim3(kWarps * kLanes), shared.bytes, stream, op, interleaved, norm);
}

template <class A>
cudaError_t launch_finish(const BackwardCall& call, const BackwardPlan& plan,
                          const Scratch& scratch, cudaStream_t stream) {
  const Shape& shape = call.shape;
  const Parameters<A> parameters = parameters_of<A>(call.parameters);
  const int64_t selected = shape.batch * shape.selected;
  if (selected > 0) {
    const cudaError_t error = launch(
        finish_selected<A>, dim3(static_cast<unsigned>(plan.alpha_parts)), dim3(kFinishThreads), 0,
        stream, static_cast<const A*>(scratch.selected_sums), parameters.gate, parameters.alpha,
        plan.tiles, selected, shape.selected, static_cast<A*>(call.dgate), scratch.alpha_parts);
    if (error != cudaSuccess) {
      return error;
    }
  }
  const auto columns = static_cast<unsigned>(divide_up(2 * shape.pairs, kLanes));
  return launch(finish_pairs<A>, dim3(columns + 1), dim3(kFinishThreads), 0, stream,
                static_cast<const A*>(scratch.pair_sums), plan.blocks, shape.pairs,
                static_cast<const double*>(scratch.alpha_parts), plan.alpha_parts,
                static_cast<A*>(call.dweight), static_cast<A*>(call.dbias),
                static_cast<A*>(call.dalpha));
}

}  // namespace

cudaError_t backward(const BackwardCall& call, const BackwardPlan& plan, const Scratch& scratch,
                     cudaStream_t stream) {
  return with_element(call.element, [&](auto element) {
    using T = typename decltype(element)::type;
    using A = typename AccumulateOf<T>::type;
    const Backward<T> op{call.shape,
                         parameters_of<A>(call.parameters),
                         input_of<T>(call.x),
                         input_of<T>(call.dy),
                         static_cast<T*>(call.dx),
                         static_cast<A*>(scratch.selected_sums),
                         static_cast<A*>(scratch.pair_sums),
                         plan.tiles,
                         plan.tiles_per_block};
    if (plan.blocks > 0) {
      const bool interleaved = call.layout == Layout::kInterleaved;
      const cudaError_t error = with_norm<T>(
          call.norm, [&](auto norm) { return launch_tiled(op, norm, plan, interleaved, stream); });
      if (error != cudaSuccess) {
        return error;
      }
    }
    return launch_finish<A>(call, plan, scratch, stream);
  });
}

}  // namespace mmhadaptive::cuda
