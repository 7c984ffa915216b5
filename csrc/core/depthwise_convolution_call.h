// What a call of the depthwise convolution is given: raw pointers, sizes and strides, in elements.
#pragma once

#include <cstdint>

#include "common.h"

namespace mmhadaptive {

constexpr int kMaxKernel = 7;
constexpr int kMaxStride = 2;

MMHADAPTIVE_INLINE constexpr int64_t convolved_size(int64_t size, int kernel, int stride,
                                                    int padding) {
  return (size + 2 * padding - kernel) / stride + 1;
}

// The kernel is square; stride and padding are those of both sides.
struct DepthwiseShape {
  int64_t batch;
  int64_t channels;
  int64_t height;
  int64_t width;
  int kernel;   // 1 to kMaxKernel
  int stride;   // 1 to kMaxStride
  int padding;  // such that the output has a pixel

  MMHADAPTIVE_INLINE int64_t out_height() const {
    return convolved_size(height, kernel, stride, padding);
  }
  MMHADAPTIVE_INLINE int64_t out_width() const {
    return convolved_size(width, kernel, stride, padding);
  }
};

struct DepthwiseCall {
  DepthwiseShape shape;
  AnyInput x;
  const void* weight;  // channels x kernel x kernel, dense, in the type of the arithmetic
  Element element;     // of x, y and their gradients
  Layout layout;
};

struct DepthwiseForwardCall : DepthwiseCall {
  const void* bias;  // channels, in the type of the arithmetic; null for none
  void* y;           // dense in the layout of x
};

// Gradients that are not needed are null.
struct DepthwiseBackwardCall : DepthwiseCall {
  AnyInput dy;
  void* dx;       // dense in the layout of x
  void* dweight;  // as the weight
};

}  // namespace mmhadaptive
