// What calls of the fused blocks of inference are given: raw pointers and sizes, in float32.
//
// Weights are packed, the same for every instruction set, in panels of kPanel output channels. What
// is beyond the last channel is zero, and so are the padded ends of vectors.
//
//   pointwise   panels x in_channels x kPanel, from (out_channels, in_channels)
//   depthwise   panels x kernel * kernel x kPanel, from (channels, 1, kernel, kernel)
//   vector      panels x kPanel, from (channels,)
//
// The width of an expansion comes in two parts, each padded to whole panels of its own: first the
// channels of x (or of the primary half of Ghost), then the products (or the cheap half). Depthwise
// weights are those of the first part, then those of the second; the projection's weight has as
// many input channels as `hidden()` says.
#pragma once

#include <cstdint>

#include "activation.h"
#include "common.h"
#include "cross_hadamard.h"

namespace mmhadaptive {

constexpr int kPanel = 16;

MMHADAPTIVE_INLINE constexpr int64_t padded_channels(int64_t channels) {
  return divide_up(channels, kPanel) * kPanel;
}

// How a bottleneck widens its input.
enum class Expansion : int { kCrossHadamard = 0, kGhost = 1, kPointwise = 2, kNone = 3 };

// Where the scores come from by which channels are selected; kGiven: an index from outside.
enum class Selection : int { kEca = 0, kStatic = 1, kFixed = 2, kGiven = 3 };

// A batch of maps, dense in its layout.
struct Maps {
  int64_t batch;
  int64_t channels;
  int64_t height;
  int64_t width;

  MMHADAPTIVE_INLINE int64_t pixels() const {
    return height * width;
  }
  MMHADAPTIVE_INLINE int64_t size() const {
    return batch * channels * pixels();
  }
};

struct BottleneckCall {
  Maps x_maps;
  const float* x;  // interleaved (channels_last), dense
  float* y;        // likewise; not x
  int64_t out_channels;
  int kernel;   // of the depthwise convolution, 1 to 7
  int stride;   // 1 or 2
  int padding;  // less than the kernel
  Activation activation;  // after the depthwise convolution
  bool residual;          // y += x

  // The 1x1 convolution that the expansion begins with; null where it has none.
  const float* pointwise_weight;
  const float* pointwise_bias;
  Activation pointwise_activation;

  Expansion expansion;
  int64_t first;   // channels of the first part: those of x, or of the 1x1 convolution
  int64_t second;  // of the second: products, or the cheap half; else 0

  // kCrossHadamard: second is pair_count(selected).
  int selected;
  Selection selection;
  const float* scores;   // kEca: eca_kernel weights; kStatic: first scores
  int eca_kernel;        // odd
  const int64_t* index;  // kGiven: batch x selected
  Norm norm;
  float alpha;
  const float* norm_weight;  // vectors of the products
  const float* norm_bias;

  // kGhost: a 3x3 depthwise convolution with padding of the first part, which has as many channels.
  const float* cheap_weight;
  const float* cheap_bias;

  const float* depthwise_weight;
  const float* depthwise_bias;

  // Null: y is what the depthwise step gives, first + second channels without padding, which
  // out_channels are then; there is no residual.
  const float* project_weight;
  const float* project_bias;

  MMHADAPTIVE_INLINE int64_t out_height() const {
    return (x_maps.height + 2 * padding - kernel) / stride + 1;
  }
  MMHADAPTIVE_INLINE int64_t out_width() const {
    return (x_maps.width + 2 * padding - kernel) / stride + 1;
  }
  // Channels that the projection reads, and the distance of its pixels.
  MMHADAPTIVE_INLINE int64_t hidden() const {
    return second == 0 ? first : padded_channels(first) + second;
  }
  MMHADAPTIVE_INLINE int64_t hidden_stride() const {
    return padded_channels(first) + padded_channels(second);
  }
};

// A convolution whose kernel is its stride, without padding: patches do not overlap. With kernel 1
// it is a 1x1 convolution. The packed weight is that of a pointwise one whose input channels are
// (kernel row, kernel column, channel) of an interleaved x, (channel, row, column) of a planar one.
struct PatchConvolutionCall {
  Maps x_maps;
  Layout x_layout;
  const float* x;  // dense
  float* y;        // interleaved, dense
  int64_t out_channels;
  int kernel;
  const float* weight;
  const float* bias;
  Activation activation;
};

}  // namespace mmhadaptive
