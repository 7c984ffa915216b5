// Index maths and normalisations of the cross-Hadamard operator, on the host and on the device.
//
// The products of k selected channels are numbered row by row over the strict upper triangle:
// p = 0 is (0, 1), p = k - 2 is (0, k - 1), p = k - 1 is (1, 2), and so on.
//
// Everything here is force-inlined. The CPU kernels are compiled once per instruction set, and an
// out-of-line copy kept by the linker could carry instructions that the machine does not have.
#pragma once

#include <math.h>

#include "common.h"

namespace mmhadaptive {

constexpr int kMinSelected = 2;
constexpr int kMaxSelected = 64;

struct Pair {
  int i;
  int j;
};

MMHADAPTIVE_INLINE constexpr int pair_count(int k) {
  return k * (k - 1) / 2;
}

// Position of the first pair of row i, (i, i + 1).
MMHADAPTIVE_INLINE constexpr int pair_row_start(int k, int i) {
  return i * (2 * k - i - 1) / 2;
}

MMHADAPTIVE_INLINE constexpr int pair_position(int k, Pair pair) {
  return pair_row_start(k, pair.i) + pair.j - pair.i - 1;
}

// Closed form p -> (i, j), the paper's with the floor of the half in place of half of the floor,
// which is wrong for many p. Counted from the end, row i starts after r(r + 1)/2 pairs with
// r = k - 2 - i, so r is the integer part of a square root. `root_guess` may be any approximation
// of sqrt(8(P - 1 - p) + 1) within one: the two integer comparisons make the result exact.
MMHADAPTIVE_INLINE constexpr Pair pair_direct(int k, int p, int root_guess) {
  const int from_end = pair_count(k) - 1 - p;
  int r = (root_guess - 1) / 2;
  r -= r * (r + 1) / 2 > from_end;
  r += (r + 1) * (r + 2) / 2 <= from_end;
  const int i = k - 2 - r;
  return {i, p - pair_row_start(k, i) + i + 1};
}

MMHADAPTIVE_INLINE Pair pair_direct(int k, int p) {
  return pair_direct(k, p, static_cast<int>(sqrtf(8.0f * (pair_count(k) - 1 - p) + 1.0f)));
}

// Which pairs block `id` of the paper's Algorithm 2 takes: those with the channels below it at even
// distances and those with the channels above it at odd ones. Every pair falls to one of its two
// blocks, and no block has more than one pair more than another.
MMHADAPTIVE_INLINE constexpr bool parity_takes(int id, int other) {
  return other < id ? (id - other) % 2 == 0 : (other - id) % 2 == 1;
}

enum class Norm : int { kNone = 0, kSoftsign = 1, kSigmoid = 2, kAlgebraic = 3 };

struct NamedNorm {
  const char* name;
  Norm norm;
};

// mmhadaptive/ops/arguments.py has the same names.
constexpr NamedNorm kNorms[] = {{"softsign", Norm::kSoftsign},
                                {"sigmoid", Norm::kSigmoid},
                                {"algebraic", Norm::kAlgebraic},
                                {"none", Norm::kNone}};

// f(t) and f'(t) of the normalisations y = w f(alpha v) + b. `Math` names the value type V, which
// is a float on the GPU and a vector of them on the CPU, and the functions on it.
template <Norm norm, class Math>
struct Normalisation {
  using V = typename Math::V;

  static MMHADAPTIVE_INLINE V value(V t) {
    if constexpr (norm == Norm::kSoftsign) {
      return t * Math::reciprocal(Math::absolute(t) + 1);
    } else if constexpr (norm == Norm::kSigmoid) {
      return Math::reciprocal(Math::exponential(-t) + 1) - Math::half();
    } else if constexpr (norm == Norm::kAlgebraic) {
      return t * Math::reciprocal_root(t * t + 1);
    } else {
      return t;
    }
  }

  static MMHADAPTIVE_INLINE void value_and_slope(V t, V& value, V& slope) {
    if constexpr (norm == Norm::kSoftsign) {
      const V r = Math::reciprocal(Math::absolute(t) + 1);
      value = t * r;
      slope = r * r;
    } else if constexpr (norm == Norm::kSigmoid) {
      value = Math::reciprocal(Math::exponential(-t) + 1) - Math::half();
      slope = Math::half() * Math::half() - value * value;
    } else if constexpr (norm == Norm::kAlgebraic) {
      const V r = Math::reciprocal_root(t * t + 1);
      value = t * r;
      slope = r * r * r;
    } else {
      value = t;
      slope = t * 0 + 1;
    }
  }
};

}  // namespace mmhadaptive
