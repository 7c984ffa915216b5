#include "cross_hadamard_depthwise.h"

#include "cross_hadamard_depthwise_kernels.cuh"
#include "cross_hadamard_launch.cuh"

namespace mmhadaptive::cuda {

cudaError_t cross_hadamard_depthwise(const CrossHadamardDepthwiseCall& call, cudaStream_t stream) {
  if (call.shape.batch == 0) {
    return cudaSuccess;
  }
  return with_element(call.element, [&](auto element) {
    using T = typename decltype(element)::type;
    using A = typename AccumulateOf<T>::type;
    const ExpandOp<T> op{call.shape,
                         call.selected,
                         call.pairs,
                         call.index,
                         static_cast<const A*>(call.alpha),
                         static_cast<const A*>(call.norm_weight),
                         static_cast<const A*>(call.norm_bias),
                         static_cast<const A*>(call.weight),
                         static_cast<const A*>(call.bias),
                         call.activation,
                         input_of<T>(call.x),
                         static_cast<T*>(call.y),
                         call.layout == Layout::kInterleaved};
    const ExpandPlan plan = plan_expand(call);
    const ExpandShared<A> shared(nullptr, plan, call.shape.kernel);
    return launch(cross_hadamard_depthwise_tiled<T>, dim3(plan.grid_x, plan.grid_y, plan.grid_z),
                  dim3(kExpandThreads), shared.bytes, stream, op, AnyNorm{call.norm}, plan);
  });
}

}  // namespace mmhadaptive::cuda
