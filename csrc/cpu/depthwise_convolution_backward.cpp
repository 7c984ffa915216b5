#include <memory>

#include "depthwise_convolution.h"
#include "depthwise_convolution_kernels.h"
#include "depthwise_convolution_plan.h"
#include "instruction_set.h"

namespace mmhadaptive::cpu {
namespace {

// Adds the sums of the tasks up, image by image, into channels x kernel x kernel.
template <class A>
void finish_weight(const DepthwisePlan& plan, const A* sums, A* total) {
  const int64_t taps = plan.shape.kernel * plan.shape.kernel;
  for (int64_t c = 0; c < plan.shape.channels; ++c) {
    const A* from = sums + c / kChannelBlock * plan.weights() + c % kChannelBlock;
    for (int64_t tap = 0; tap < taps; ++tap) {
      A sum = 0;
      for (int64_t chunk = 0; chunk < plan.chunks(); ++chunk) {
        sum += from[chunk * plan.blocks() * plan.weights() + tap * kChannelBlock];
      }
      total[c * taps + tap] = sum;
    }
  }
}

// A is the type of the arithmetic.
template <class A>
void backward_in(const DepthwiseBackwardCall& call, const ParallelFor& parallel_for) {
  const HostPlan host = HostPlan::backward(call.shape, sizeof(A));
  const DepthwisePlan& plan = host.get();
  const std::unique_ptr<A[]> sums(new A[plan.tasks() * plan.weights()]);
  const DepthwiseBackward op{plan, call.x, call.dy, call.weight, call.dx, sums.get()};
  const DepthwiseBackwardKernel kernel =
      MMHADAPTIVE_WIDEST(depthwise_backward_kernel)(call.element, call.layout);
  parallel_for(plan.tasks(), depthwise_grain(plan), [&](int64_t begin, int64_t end) {
    const DepthwiseScratch scratch(op.scratch() * sizeof(A));
    kernel(op, scratch.data(), begin, end);
  });
  if (call.dweight != nullptr) {
    finish_weight(plan, sums.get(), static_cast<A*>(call.dweight));
  }
}

}  // namespace

void depthwise_backward(const DepthwiseBackwardCall& call, const ParallelFor& parallel_for) {
  if (call.element == Element::kDouble) {
    backward_in<double>(call, parallel_for);
  } else {
    backward_in<float>(call, parallel_for);
  }
}

}  // namespace mmhadaptive::cpu
