#include "cross_hadamard.h"
#include "cross_hadamard_kernels.h"
#include "cross_hadamard_plan.h"
#include "instruction_set.h"

namespace mmhadaptive::cpu {

void forward(const ForwardCall& call, int64_t threads, const ParallelFor& parallel_for) {
  check_index(call);
  const Forward op{tiled(call.shape, threads), kernel_parameters(call), call.x, call.y};
  const ForwardKernel kernel =
      MMHADAPTIVE_WIDEST(forward_kernel)(call.element, call.norm, call.layout);
  const int64_t task_size = op.shape.tile * (op.shape.channels + op.shape.pairs);
  parallel_for(op.shape.batch * op.shape.tiles(), divide_up(kGrain, task_size),
               [&](int64_t begin, int64_t end) { kernel(op, begin, end); });
}

}  // namespace mmhadaptive::cpu
