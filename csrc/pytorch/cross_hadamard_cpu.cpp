#include <torch/csrc/stable/library.h>

#include "../cpu/cross_hadamard.h"
#include "cross_hadamard.h"

namespace mmhadaptive {
namespace {

struct Cpu {
  struct Guard {
    explicit Guard(const Tensor&) {
    }
  };

  static void parallel_for(int64_t size, int64_t grain, const cpu::Body& body) {
    torch::stable::parallel_for(0, size, grain, body);
  }

  static void forward(const ForwardCall& call, const Tensor&, Strategy) {
    cpu::forward(call, torch::stable::get_num_threads(), parallel_for);
  }

  static void backward(const BackwardCall& call, const Tensor&) {
    cpu::backward(call, parallel_for);
  }
};

}  // namespace
}  // namespace mmhadaptive

STABLE_TORCH_LIBRARY_IMPL(mmhadaptive, CPU, m) {
  m.impl("cross_hadamard", TORCH_BOX(&mmhadaptive::forward<mmhadaptive::Cpu>));
  m.impl("cross_hadamard_backward", TORCH_BOX(&mmhadaptive::backward<mmhadaptive::Cpu>));
}
