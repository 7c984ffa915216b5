// What the step from selected channels through the depthwise convolution is given, on any device:
// raw pointers, sizes and strides, in elements. It is the bottleneck without what comes before the
// selection and after the activation.
#pragma once

#include <cstdint>

#include "activation.h"
#include "common.h"
#include "cross_hadamard.h"
#include "depthwise_convolution_call.h"

namespace mmhadaptive {

// The channels of the output are those of x and then the products, as in cross_hadamard_call.h; the
// small tensors are in the type of the arithmetic: double for double, else float.
struct CrossHadamardDepthwiseCall {
  DepthwiseShape shape;  // its channels are those of x
  int selected;
  int pairs;
  const int64_t* index;  // batch x selected
  Norm norm;
  const void* alpha;        // one
  const void* norm_weight;  // pairs; y = norm_weight * f(alpha * z_i * z_j) + norm_bias
  const void* norm_bias;
  const void* weight;  // (channels + pairs) x kernel x kernel, dense
  const void* bias;    // channels + pairs
  Activation activation;
  AnyInput x;
  void* y;  // dense in the layout of x
  Element element;
  Layout layout;
};

}  // namespace mmhadaptive
