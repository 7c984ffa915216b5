// What the CPU kernels of one instruction set offer to the host.
#pragma once

#include <cstdint>

#include "../core/depthwise_convolution_call.h"

namespace mmhadaptive::cpu {

// Channels that a task works on, side by side: whole vectors of every instruction set.
constexpr int kChannelBlock = 16;

// Columns of the input of stride s fall into s phases by their remainder, and a row of the kernel
// into those of its taps that meet each phase. With the columns of a phase side by side,
//
//   y[o] += weight[first + t * s] * x[o + offset + t]   for t in [0, taps)
//
// has the stride 1. Taps that meet the map nowhere are in no phase.
struct DepthwisePhase {
  int first;
  int taps;
  int64_t offset;
  int64_t width;  // its columns of the input
  int64_t start;  // the first of them in a row of a scratch map
};

// A scratch map is rows x row x kChannelBlock values in the type of the arithmetic, zero where the
// map that it holds has no pixel.
struct ScratchMap {
  int64_t rows;
  int64_t row;
  int64_t left;  // columns of zeros before the first pixel; phases have their own

  MMHADAPTIVE_INLINE int64_t size() const {
    return rows * row * kChannelBlock;
  }
};

// The rows of the kernel that a row of the result sums over, from `first` on, and the row that the
// first of them reads. In the backward they follow each other by the stride.
struct RowTaps {
  int first;
  int count;
  int64_t from;
};

// The rows of the other map that a row of the kernel, or all of it, connects with those of a band.
struct RowRange {
  int64_t first;
  int64_t last;
};

// How the work is cut. It depends on the shape alone, never on the threads or the instruction set,
// and so do all partial sums.
struct DepthwisePlan {
  DepthwiseShape shape;
  int first_row;  // the rows of the kernel that meet the map, and its columns
  int rows;
  int first_column;
  int columns;
  DepthwisePhase phases[kMaxStride];
  int64_t images;             // of a task
  int64_t band;               // rows of the result, y or dx, that a task works on at a time
  const RowTaps* row_taps;    // by row of the result
  const RowRange* band_rows;  // by band
  const RowRange* tap_rows;   // by band and row of the kernel; the forward has none
  ScratchMap x;
  ScratchMap y;

  MMHADAPTIVE_INLINE int64_t blocks() const {
    return divide_up(shape.channels, kChannelBlock);
  }
  MMHADAPTIVE_INLINE int64_t chunks() const {
    return divide_up(shape.batch, images);
  }
  // The blocks of the first images, then those of the next.
  MMHADAPTIVE_INLINE int64_t tasks() const {
    return chunks() * blocks();
  }
  MMHADAPTIVE_INLINE int64_t weights() const {
    return shape.kernel * shape.kernel * kChannelBlock;
  }
};

struct DepthwiseForward {
  DepthwisePlan plan;
  AnyInput x;
  const void* weight;
  const void* bias;
  void* y;

  // Values of scratch that a thread needs, aligned to 64 bytes and zero at first.
  MMHADAPTIVE_INLINE int64_t scratch() const {
    return plan.weights() + plan.x.size() + plan.y.size();
  }
};

struct DepthwiseBackward {
  DepthwisePlan plan;
  AnyInput x;
  AnyInput dy;
  const void* weight;
  void* dx;       // null if it is not needed
  void* dweight;  // tasks x kernel x kernel x kChannelBlock sums

  MMHADAPTIVE_INLINE int64_t scratch() const {
    return plan.weights() + plan.x.size() + plan.y.size();
  }
};

// Both work on tasks [begin, end).
using DepthwiseForwardKernel = void (*)(const DepthwiseForward&, void* scratch, int64_t begin,
                                        int64_t end);
using DepthwiseBackwardKernel = void (*)(const DepthwiseBackward&, void* scratch, int64_t begin,
                                         int64_t end);

namespace baseline {
DepthwiseForwardKernel depthwise_forward_kernel(Element element, Layout layout);
DepthwiseBackwardKernel depthwise_backward_kernel(Element element, Layout layout);
}  // namespace baseline

#if defined(__x86_64__)
namespace avx2 {
DepthwiseForwardKernel depthwise_forward_kernel(Element element, Layout layout);
DepthwiseBackwardKernel depthwise_backward_kernel(Element element, Layout layout);
}  // namespace avx2

namespace avx512 {
DepthwiseForwardKernel depthwise_forward_kernel(Element element, Layout layout);
DepthwiseBackwardKernel depthwise_backward_kernel(Element element, Layout layout);
}  // namespace avx512
#endif

}  // namespace mmhadaptive::cpu
