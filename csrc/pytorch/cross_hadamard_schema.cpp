// What the operators look like to the dispatcher. Fake, autograd and autocast rules are in
// mmhadaptive/ops.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY_FRAGMENT(mmhadaptive, m) {
  m.def(
      "cross_hadamard(Tensor x, Tensor index, Tensor gate, Tensor? alpha, Tensor? weight, "
      "Tensor? bias, str norm='softsign', str strategy='auto') -> Tensor");
  m.def(
      "cross_hadamard_backward(Tensor dy, Tensor x, Tensor index, Tensor gate, Tensor? alpha, "
      "Tensor? weight, str norm, bool need_x, bool need_gate, bool need_alpha, bool need_weight, "
      "bool need_bias) -> (Tensor, Tensor, Tensor, Tensor, Tensor)");
}
