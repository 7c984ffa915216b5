// What follows a convolution, on the host and on the device.
#pragma once

#include "common.h"

namespace mmhadaptive {

enum class Activation : int { kNone = 0, kRelu = 1, kHardswish = 2 };

// `V` is a float on the GPU and a vector of them on the CPU. A NaN stays one.
template <class V>
MMHADAPTIVE_INLINE V activated(Activation activation, V v) {
  if (activation == Activation::kHardswish) {
    V gate = v + 3;
    gate = gate < 0 ? gate * 0 : gate;
    gate = gate > 6 ? gate * 0 + 6 : gate;
    return v * gate * (1.0f / 6);
  }
  if (activation == Activation::kRelu) {
    v = v < 0 ? v * 0 : v;
  }
  return v;
}

}  // namespace mmhadaptive
