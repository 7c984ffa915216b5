#include <algorithm>
#include <memory>

#include "cross_hadamard.h"
#include "cross_hadamard_kernels.h"
#include "cross_hadamard_plan.h"
#include "instruction_set.h"

namespace mmhadaptive::cpu {
namespace {

// The sums over the batch are kept for this many groups of tiles at most.
constexpr int64_t kMaxGroups = 64;
// With fewer tasks than this, images are cut into smaller tiles, so that threads can share them.
// The number of threads itself must not matter, as tiles decide what is summed up first. The
// forward sums nothing and asks for a task a thread.
constexpr int64_t kTasks = 4;

template <class A>
void finish_selected(const Backward& op, A* dgate, A* dalpha) {
  const int64_t k = op.shape.selected;
  const auto* sums = static_cast<const A*>(op.selected_sums);
  const auto* gate = static_cast<const A*>(op.parameters.gate);
  double twice_dalpha = 0;
  for (int64_t n = 0; n < op.shape.batch; ++n) {
    for (int64_t s = 0; s < k; ++s) {
      A sum = 0;
      for (int64_t tile = 0; tile < op.shape.tiles(); ++tile) {
        sum += sums[(n * op.shape.tiles() + tile) * k + s];
      }
      // Each product contributes to d alpha once and to the sums of its two channels.
      twice_dalpha += static_cast<double>(sum) * gate[n * k + s];
      if (dgate != nullptr) {
        dgate[n * k + s] = static_cast<A>(op.parameters.alpha) * sum;
      }
    }
  }
  if (dalpha != nullptr) {
    *dalpha = static_cast<A>(twice_dalpha / 2);
  }
}

template <class A>
void finish_pairs(const A* sums, int64_t groups, int64_t pairs, A* total) {
  if (total == nullptr) {
    return;
  }
  std::fill_n(total, pairs, A(0));
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t p = 0; p < pairs; ++p) {
      total[p] += sums[group * 2 * pairs + p];
    }
  }
}

// A is the type of the arithmetic.
template <class A>
void backward_in(const BackwardCall& call, const ParallelFor& parallel_for) {
  const TiledShape shape = tiled(call.shape, kTasks);
  const int64_t tasks = shape.batch * shape.tiles();
  const int64_t tiles_per_group = std::max<int64_t>(1, divide_up(tasks, kMaxGroups));
  const int64_t groups = divide_up(tasks, tiles_per_group);
  const std::unique_ptr<A[]> selected_sums(new A[tasks * shape.selected]);
  const std::unique_ptr<A[]> pair_sums(new A[groups * 2 * shape.pairs]);
  const Backward op{shape,   kernel_parameters(call), call.x,          call.dy,
                    call.dx, selected_sums.get(),     pair_sums.get(), tiles_per_group};
  const BackwardKernel kernel =
      MMHADAPTIVE_WIDEST(backward_kernel)(call.element, call.norm, call.layout);
  const int64_t group_size = tiles_per_group * shape.tile * (shape.channels + shape.pairs);
  parallel_for(groups, divide_up(kGrain, group_size),
               [&](int64_t begin, int64_t end) { kernel(op, begin, end); });

  finish_selected(op, static_cast<A*>(call.dgate), static_cast<A*>(call.dalpha));
  finish_pairs(pair_sums.get(), groups, shape.pairs, static_cast<A*>(call.dweight));
  finish_pairs(pair_sums.get() + shape.pairs, groups, shape.pairs, static_cast<A*>(call.dbias));
}

}  // namespace

void backward(const BackwardCall& call, const ParallelFor& parallel_for) {
  check_index(call);
  if (call.element == Element::kDouble) {
    backward_in<double>(call, parallel_for);
  } else {
    backward_in<float>(call, parallel_for);
  }
}

}  // namespace mmhadaptive::cpu
