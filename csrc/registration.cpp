// The one place that talks to the dispatcher. The CPU library holds the schemas and the CPU
// kernels; with MMHADAPTIVE_CUDA the same file makes the CUDA library, which holds kernels only and
// is loaded after it. Fake, autograd and autocast rules are in mmhadaptive/ops.
#include <torch/csrc/stable/library.h>

#if defined(MMHADAPTIVE_CUDA)

#include "cuda/cross_hadamard.h"

STABLE_TORCH_LIBRARY_IMPL(mmhadaptive, CUDA, m) {
  m.impl("cross_hadamard", TORCH_BOX(&mmhadaptive::cuda::forward));
  m.impl("cross_hadamard_backward", TORCH_BOX(&mmhadaptive::cuda::backward));
}

#else

#include "cpu/cross_hadamard.h"

STABLE_TORCH_LIBRARY_FRAGMENT(mmhadaptive, m) {
  m.def(
      "cross_hadamard(Tensor x, Tensor index, Tensor gate, Tensor? alpha, Tensor? weight, "
      "Tensor? bias, str norm='softsign', str strategy='auto') -> Tensor");
  m.def(
      "cross_hadamard_backward(Tensor dy, Tensor x, Tensor index, Tensor gate, Tensor? alpha, "
      "Tensor? weight, str norm, bool need_x, bool need_gate, bool need_alpha, bool need_weight, "
      "bool need_bias) -> (Tensor, Tensor, Tensor, Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(mmhadaptive, CPU, m) {
  m.impl("cross_hadamard", TORCH_BOX(&mmhadaptive::cpu::forward));
  m.impl("cross_hadamard_backward", TORCH_BOX(&mmhadaptive::cpu::backward));
}

#endif
