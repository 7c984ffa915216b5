// A chain of fused blocks as numbers: what an operator of any framework is given of a network.
#pragma once

#include <cstdint>

#include "bottleneck_call.h"

namespace mmhadaptive {

enum class Block : int { kPatchConvolution = 0, kBottleneck = 1 };

// The numbers that describe a block, in order; mmhadaptive/ops/fused_blocks.py has the same.
struct BlockSpec {
  int64_t block;
  int64_t in_channels;
  int64_t out_channels;
  int64_t kernel;
  int64_t stride;  // of a patch convolution: its kernel
  int64_t padding;
  int64_t activation;  // after the depthwise or the patch convolution
  int64_t residual;
  // A patch convolution reads a planar map; the first block alone.
  int64_t planar;
  int64_t expansion;
  int64_t first;
  int64_t second;
  int64_t pointwise;  // whether the expansion begins with a 1x1 convolution
  int64_t pointwise_activation;
  int64_t selected;
  int64_t selection;
  int64_t eca_kernel;
  int64_t norm;
};
constexpr int64_t kSpecNumbers = sizeof(BlockSpec) / sizeof(int64_t);

// The floats of the blocks follow each other. Of a block they are, packed as bottleneck_call.h says
// and where the block has them:
//
//   patch convolution   weight, bias
//   bottleneck          pointwise weight and bias; scores, as a vector; alpha, as a vector of one;
//                       norm weight and bias; cheap weight and bias; depthwise weight and bias of
//                       the first part and of the second (weight, weight, bias, bias); projection's
//                       weight and bias
struct BlockChainCall {
  const int64_t* spec;  // blocks x kSpecNumbers
  int64_t blocks;
  const float* packed;
  int64_t packed_size;
  Maps x_maps;
  Layout x_layout;
  const float* x;  // dense in its layout
  Layout y_layout;
  float* y;
};

}  // namespace mmhadaptive
