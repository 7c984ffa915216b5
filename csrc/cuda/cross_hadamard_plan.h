// How the kernels cut their work. Plain C++, so that the tests can run it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../core/cross_hadamard_call.h"

namespace mmhadaptive::cuda {

constexpr int kForwardThreads = 256;
constexpr int kMaxGridYZ = 65535;
// z of a tile takes at most this much shared memory.
constexpr int kForwardSharedBytes = 36 * 1024;
// Channels that a planar block writes at least; with fewer, loading z would cost too much.
constexpr int kMinChannelsPerBlock = 64;
// Blocks that fill a multiprocessor.
constexpr int kBlocksPerMultiprocessor = 4;

struct ForwardPlan {
  int width;  // elements of a store
  int tile;   // pixels of a block
  int channels_per_block;
  unsigned grid_x;
  unsigned grid_y;
  unsigned grid_z;
  size_t shared_bytes;
};

struct ForwardSize : Shape {
  int element_bytes;
  int accumulate_bytes;
  int entry_bytes;
  int multiprocessors;
};

// Blocks of an image in the paper's two strategies.
inline unsigned blocks_per_image(const Shape& shape, Strategy strategy) {
  return static_cast<unsigned>(strategy == Strategy::kParity ? shape.selected : shape.pairs);
}

inline ForwardPlan plan_planar(const ForwardSize& size) {
  ForwardPlan plan{};
  const int full_width = 16 / size.element_bytes;
  const int64_t most = kForwardSharedBytes / (size.selected * size.accumulate_bytes) / 16 * 16;
  plan.width = full_width;
  if (size.pixels <= most) {
    plan.tile = static_cast<int>(size.pixels);
  } else {
    const int64_t even = divide_up(size.pixels, divide_up(size.pixels, most));
    plan.tile = static_cast<int>(divide_up(even, 16) * 16);
    if (size.pixels % full_width != 0) {
      plan.width = 1;
    }
  }
  plan.grid_x = static_cast<unsigned>(divide_up(size.pixels, plan.tile));
  plan.grid_z = static_cast<unsigned>(std::min<int64_t>(size.batch, kMaxGridYZ));
  const int64_t out_channels = size.channels + size.pairs;
  const int64_t wanted = int64_t{kBlocksPerMultiprocessor} * size.multiprocessors;
  const int64_t chunks = std::clamp<int64_t>(divide_up(wanted, int64_t{plan.grid_x} * plan.grid_z),
                                             1, divide_up(out_channels, kMinChannelsPerBlock));
  plan.channels_per_block = static_cast<int>(divide_up(out_channels, chunks));
  plan.grid_y = static_cast<unsigned>(divide_up(out_channels, plan.channels_per_block));
  const int entries = std::min(plan.channels_per_block, size.pairs);
  plan.shared_bytes = static_cast<size_t>(size.selected) * plan.tile * size.accumulate_bytes +
                      static_cast<size_t>(entries) * size.entry_bytes;
  return plan;
}

inline ForwardPlan plan_interleaved(const ForwardSize& size) {
  ForwardPlan plan{};
  const int64_t out_channels = size.channels + size.pairs;
  plan.width = 16 / size.element_bytes;
  while (out_channels % plan.width != 0) {
    plan.width /= 2;
  }
  plan.channels_per_block = kForwardThreads * plan.width;
  plan.grid_y = static_cast<unsigned>(divide_up(out_channels, plan.channels_per_block));
  plan.grid_z = static_cast<unsigned>(std::min<int64_t>(size.batch, kMaxGridYZ));
  // Long walks over the pixels pay for setting up the channels; short ones fill the device.
  const int64_t wanted = int64_t{kBlocksPerMultiprocessor} * size.multiprocessors;
  const int64_t tiles = divide_up(wanted, int64_t{plan.grid_y} * plan.grid_z);
  const int64_t most = kForwardSharedBytes / (size.selected * size.accumulate_bytes);
  plan.tile = static_cast<int>(
      std::clamp<int64_t>(divide_up(size.pixels, tiles), 1, std::min<int64_t>(most, 64)));
  plan.grid_x = static_cast<unsigned>(divide_up(size.pixels, plan.tile));
  plan.shared_bytes = static_cast<size_t>(size.selected) * plan.tile * size.accumulate_bytes;
  return plan;
}

constexpr int kFinishThreads = 256;
// Pixels of a tile of the backward, a lane of a warp for each.
constexpr int kLanes = 32;
// Blocks of the backward for each multiprocessor: each holds sums for all products, which are
// written and read once more, so it is not one block a tile.
constexpr int kBackwardBlocksPerMultiprocessor = 8;

struct BackwardPlan {
  int64_t tiles;  // of an image
  int64_t tiles_per_block;
  int64_t blocks;
  // Elements of the scratch memory.
  int64_t selected_sums;
  int64_t pair_sums;
  int64_t alpha_parts;
};

inline BackwardPlan plan_backward(const Shape& shape, int64_t tiles_per_block) {
  BackwardPlan plan{};
  plan.tiles = divide_up(shape.pixels, kLanes);
  plan.tiles_per_block = tiles_per_block;
  plan.blocks = divide_up(shape.batch * plan.tiles, tiles_per_block);
  plan.selected_sums = shape.batch * plan.tiles * shape.selected;
  plan.pair_sums = plan.blocks * 2 * shape.pairs;
  plan.alpha_parts = divide_up(shape.batch * shape.selected, kFinishThreads);
  return plan;
}

inline int64_t tiles_per_block(const Shape& shape, int multiprocessors) {
  const int64_t tiles = shape.batch * divide_up(shape.pixels, kLanes);
  const int64_t most_blocks = int64_t{kBackwardBlocksPerMultiprocessor} * multiprocessors;
  return std::max<int64_t>(1, divide_up(tiles, most_blocks));
}

}  // namespace mmhadaptive::cuda
