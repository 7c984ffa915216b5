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

// What works on tasks [begin, end) of an Op, which is Forward or Backward; the file that chooses
// kernels for it defines both functions.
template <class Op, class T, Norm norm>
struct Kernels {
  using A = typename AccumulateOf<T>::type;
  using Math = VectorMath<A>;
  using V = typename Math::V;

  static void planar(const Op& op, int64_t begin, int64_t end);
  static void interleaved(const Op& op, int64_t begin, int64_t end);
};

template <class Op>
auto kernel_for(Element element, Norm norm, Layout layout) {
  return with_types(element, norm, [layout](auto zero, auto constant) {
    using Chosen = Kernels<Op, decltype(zero), decltype(constant)::value>;
    return layout == Layout::kPlanar ? Chosen::planar : Chosen::interleaved;
  });
}

}  // namespace
}  // namespace mmhadaptive::cpu
