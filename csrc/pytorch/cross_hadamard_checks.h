// Checks of everything but the values of the index.
#pragma once

#include <string>

#include "../core/cross_hadamard_call.h"
#include "tensors.h"

namespace mmhadaptive {

inline Norm parse_norm(const std::string& name) {
  for (const NamedNorm& known : kNorms) {
    if (name == known.name) {
      return known.norm;
    }
  }
  STD_TORCH_CHECK(false, "norm must be 'softsign', 'sigmoid', 'algebraic' or 'none', got '", name,
                  "'");
  return Norm::kNone;
}

inline Strategy parse_strategy(const std::string& name) {
  std::string names;
  for (const NamedStrategy& known : kStrategies) {
    if (name == known.name) {
      return known.strategy;
    }
    names += (names.empty() ? "'" : ", '") + std::string(known.name) + "'";
  }
  STD_TORCH_CHECK(false, "strategy must be one of ", names, ", got '", name, "'");
  return Strategy::kTiled;
}

inline void check_vector(const char* name, const Tensor& t, int64_t size, const Tensor& x) {
  STD_TORCH_CHECK(t.dim() == 1 && t.size(0) == size, name, " must have shape (", size, ",), got ",
                  t.dim(), " dimensions and ", t.numel(), " elements");
  STD_TORCH_CHECK(t.device() == x.device(), name, " must be on the device of x");
  STD_TORCH_CHECK(t.scalar_type() == accumulate_type(x), name,
                  " must be float64 if x is float64, else float32");
}

// alpha, weight and bias: all given with a normalisation, none without.
inline void check_parameter(const char* name, const OptionalTensor& t, int64_t size, Norm norm,
                            const Tensor& x) {
  STD_TORCH_CHECK(t.has_value() == (norm != Norm::kNone), name,
                  norm == Norm::kNone ? " must be None if norm is 'none'"
                                      : " is required unless norm is 'none'");
  if (t.has_value()) {
    check_vector(name, *t, size, x);
  }
}

inline void check_index(const Tensor& x, const Tensor& index) {
  STD_TORCH_CHECK(x.dim() == 4, "x must have 4 dimensions (N, C, H, W), got ", x.dim());
  const ScalarType type = x.scalar_type();
  STD_TORCH_CHECK(type == ScalarType::Float || type == ScalarType::Double ||
                      type == ScalarType::BFloat16 || type == ScalarType::Half,
                  "x must be float32, float64, bfloat16 or float16");
  STD_TORCH_CHECK(index.dim() == 2 && index.size(0) == x.size(0),
                  "index must have shape (N, k) with N = ", x.size(0), " of x");
  STD_TORCH_CHECK(index.scalar_type() == ScalarType::Long, "index must be int64");
  const int64_t k = index.size(1);
  STD_TORCH_CHECK(k >= kMinSelected && k <= kMaxSelected, "index must select ", kMinSelected,
                  " to ", kMaxSelected, " channels, got ", k);
  STD_TORCH_CHECK(k <= x.size(1), "index selects ", k, " channels, but x has ", x.size(1));
  STD_TORCH_CHECK(index.device() == x.device(), "index must be on the device of x");
}

inline void check_gate(const Tensor& x, const Tensor& index, const Tensor& gate) {
  const int64_t k = index.size(1);
  STD_TORCH_CHECK(gate.dim() == 2 && gate.size(0) == x.size(0) && gate.size(1) == k,
                  "gate must have the shape of index");
  STD_TORCH_CHECK(gate.scalar_type() == accumulate_type(x),
                  "gate must be float64 if x is float64, else float32");
  STD_TORCH_CHECK(gate.device() == x.device(), "gate must be on the device of x");
}

// What both directions are given.
inline Norm check_arguments(const Tensor& x, const Tensor& index, const Tensor& gate,
                            const OptionalTensor& alpha, const OptionalTensor& weight,
                            const std::string& norm_name) {
  const Norm norm = parse_norm(norm_name);
  check_index(x, index);
  check_gate(x, index, gate);
  check_parameter("alpha", alpha, 1, norm, x);
  check_parameter("weight", weight, pair_count(static_cast<int>(index.size(1))), norm, x);
  return norm;
}

inline void check_gradient(const Tensor& dy, const Tensor& x, int64_t pairs) {
  STD_TORCH_CHECK(dy.dim() == 4 && dy.size(0) == x.size(0) && dy.size(1) == x.size(1) + pairs &&
                      dy.size(2) == x.size(2) && dy.size(3) == x.size(3),
                  "dy must have the shape of the output");
  STD_TORCH_CHECK(dy.scalar_type() == x.scalar_type() && dy.device() == x.device(),
                  "dy must have the dtype and the device of x");
}

}  // namespace mmhadaptive
