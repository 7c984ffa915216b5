// What the forward and the backward kernels share. As in vector_math.h, each instruction set has
// its own copies.
#pragma once

#include "cross_hadamard_kernels.h"
#include "vector_loops.h"

namespace mmhadaptive::cpu {
namespace {

// Scratch rows hold this many values at most, so that all rows of a tile stay in the first-level
// or second-level cache. The tile of a shape is never larger.
constexpr int kPadded = kMaxTile + 64 / sizeof(float);
constexpr int kPairsPadded = pair_count(kMaxSelected) + 64 / sizeof(float);
constexpr int kSelectedPadded = kMaxSelected + 64 / sizeof(float);

template <class T>
MMHADAPTIVE_INLINE const T* rows(const AnyInput& input, int64_t n) {
  return static_cast<const T*>(input.data) + n * input.batch_stride;
}

// Calls body(T{}, Constant<norm>{}) for the element and the normalisation.
template <class T, class Body>
auto with_norm(Norm norm, const Body& body) {
  switch (norm) {
    case Norm::kSoftsign:
      return body(T{}, Constant<Norm::kSoftsign>{});
    case Norm::kSigmoid:
      return body(T{}, Constant<Norm::kSigmoid>{});
    case Norm::kAlgebraic:
      return body(T{}, Constant<Norm::kAlgebraic>{});
    default:
      return body(T{}, Constant<Norm::kNone>{});
  }
}

template <class Body>
auto with_types(Element element, Norm norm, const Body& body) {
  switch (element) {
    case Element::kDouble:
      return with_norm<double>(norm, body);
    case Element::kBFloat16:
      return with_norm<BFloat16>(norm, body);
    case Element::kHalf:
      return with_norm<Half>(norm, body);
    default:
      return with_norm<float>(norm, body);
  }
}

}  // namespace
}  // namespace mmhadaptive::cpu
