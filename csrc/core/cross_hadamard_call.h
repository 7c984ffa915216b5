// What a call of the operator is given: raw pointers, sizes and strides, in elements. It is the
// same on every device and for every framework.
#pragma once

#include <cstdint>

#include "common.h"
#include "cross_hadamard.h"

namespace mmhadaptive {

// How the forward on a GPU goes from threads to products: a block a tile, a thread an element, or
// one of the paper's two, a block a product and a block a channel.
enum class Strategy : int { kTiled = 0, kElementwise = 1, kDirect = 2, kParity = 3 };

struct NamedStrategy {
  const char* name;
  Strategy strategy;
};

// mmhadaptive/ops/arguments.py has the same names. A rule by shape for `auto` would have to be
// measured; `tiled` is what was designed to be fastest.
constexpr NamedStrategy kStrategies[] = {{"auto", Strategy::kTiled},
                                         {"tiled", Strategy::kTiled},
                                         {"elementwise", Strategy::kElementwise},
                                         {"direct", Strategy::kDirect},
                                         {"parity", Strategy::kParity}};

struct Shape {
  int64_t batch;
  int64_t channels;  // of x
  int64_t pixels;
  int selected;
  int pairs;
};

// The small vectors are in the type of the arithmetic: double for double, else float.
struct AnyParameters {
  const int64_t* index;  // batch x selected
  const void* gate;      // batch x selected
  const void* alpha;     // one; null without a normalisation, and so are the next two
  const void* weight;    // pairs
  const void* bias;      // pairs; the backward does not read it
};

struct Call {
  Shape shape;
  AnyParameters parameters;
  AnyInput x;
  Element element;
  Norm norm;
  Layout layout;
};

struct ForwardCall : Call {
  void* y;  // dense in the layout of x
};

// Gradients that are not needed are null. Those of the small vectors have their type.
struct BackwardCall : Call {
  AnyInput dy;
  void* dx;  // dense in the layout of x
  void* dgate;
  void* dalpha;
  void* dweight;
  void* dbias;
};

}  // namespace mmhadaptive
