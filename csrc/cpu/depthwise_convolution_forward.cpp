#include "depthwise_convolution.h"
#include "depthwise_convolution_kernels.h"
#include "depthwise_convolution_plan.h"
#include "instruction_set.h"

namespace mmhadaptive::cpu {

void depthwise_forward(const DepthwiseForwardCall& call, const ParallelFor& parallel_for) {
  const int64_t value_bytes = call.element == Element::kDouble ? sizeof(double) : sizeof(float);
  const HostPlan plan = HostPlan::forward(call.shape, value_bytes, call.layout);
  const DepthwiseForward op{plan.get(), call.x, call.weight, call.bias, call.y};
  const DepthwiseForwardKernel kernel =
      MMHADAPTIVE_WIDEST(depthwise_forward_kernel)(call.element, call.layout);
  parallel_for(op.plan.tasks(), depthwise_grain(op.plan), [&](int64_t begin, int64_t end) {
    const DepthwiseScratch scratch(op.scratch() * value_bytes);
    kernel(op, scratch.data(), begin, end);
  });
}

}  // namespace mmhadaptive::cpu
