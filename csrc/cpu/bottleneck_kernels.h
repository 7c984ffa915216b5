// What the CPU kernels of one instruction set offer to the host.
#pragma once

#include <cstdint>

#include "../core/bottleneck_call.h"
#include "depthwise_convolution_kernels.h"

namespace mmhadaptive::cpu {

static_assert(kPanel == kChannelBlock);

// y = activation(a * weight + bias) + residual for rows that are pixels of maps. A row of a is
// `segments` pieces of `length` values; its weights follow each other.
struct Product {
  const float* a;
  int64_t line_pixels;     // rows of a line
  int64_t image_lines;     // lines of an image
  int64_t image_stride;    // in a
  int64_t line_stride;     // in a
  int64_t pixel_stride;    // in a
  int segments;
  int64_t length;
  const int64_t* offsets;  // of the segments
  const float* weight;     // packed
  const float* bias;       // packed
  Activation activation;
  const float* residual;  // as y; null for none
  float* y;
  int64_t y_stride;
  int64_t channels;  // of y
};

// The channels that are selected in each image, side by side.
struct Select {
  const float* x;  // interleaved, dense
  int64_t pixels;
  int64_t channels;
  Selection selection;
  const float* scores;
  int eca_kernel;
  const int64_t* index;
  int selected;
  float* values;  // of an image: channels, for scores
  float* z;       // batch x pixels x z_stride
  int64_t z_stride;
};

// The expansion and the depthwise convolution. A task is a panel of the expansion of one image, in
// the order of the parts; with Ghost, a panel of both.
struct Expand {
  DepthwisePlan plan;    // of the depthwise convolution, with the channels of the expansion padded
  DepthwisePlan cheap;   // of Ghost's
  const float* x;        // interleaved: the first part
  int64_t x_stride;
  int64_t first;
  int64_t second;
  Expansion expansion;
  const float* z;
  int64_t z_stride;
  int selected;
  Norm norm;
  float alpha;
  const float* norm_weight;
  const float* norm_bias;
  const float* cheap_weight;
  const float* cheap_bias;
  const float* weight;
  const float* bias;
  Activation activation;
  float* y;  // batch x pixels x y_stride
  int64_t y_stride;
  int64_t y_second;  // where the second part begins; padding is written where there is room for it

  MMHADAPTIVE_INLINE int64_t first_panels() const {
    return divide_up(first, kPanel);
  }
  MMHADAPTIVE_INLINE int64_t tasks_of_image() const {
    return first_panels() + (expansion == Expansion::kGhost ? 0 : divide_up(second, kPanel));
  }
  // Values of scratch that a thread needs, aligned to 64 bytes and zero at first.
  MMHADAPTIVE_INLINE int64_t scratch() const {
    return plan.x.size() + plan.y.size() + (kStaged + 2) * kPanel +
           (expansion == Expansion::kGhost ? line() + cheap.x.size() : 0);
  }
  // A row of Ghost's cheap half.
  MMHADAPTIVE_INLINE int64_t line() const {
    return plan.shape.width * kPanel;
  }

  // Pixels whose products are made before they are normalised.
  static constexpr int64_t kStaged = 64;
};

struct Transposed {
  const float* from;
  float* to;
  int64_t rows;     // of from
  int64_t columns;  // of from
};

// Each works on a range: rows of the product, images, tasks, or rows of every image's transpose.
struct BottleneckKernels {
  void (*multiply)(const Product& op, int64_t begin, int64_t end);
  void (*select)(const Select& op, int64_t begin, int64_t end);
  void (*expand)(const Expand& op, void* scratch, int64_t begin, int64_t end);
  void (*transpose)(const Transposed& op, int64_t begin, int64_t end);
};

namespace baseline {
BottleneckKernels bottleneck_forward_kernels();
}  // namespace baseline

#if defined(__x86_64__)
namespace avx2 {
BottleneckKernels bottleneck_forward_kernels();
}  // namespace avx2

namespace avx512 {
BottleneckKernels bottleneck_forward_kernels();
}  // namespace avx512
#endif

}  // namespace mmhadaptive::cpu
