// How the kernel cuts its work. Plain C++, so that the tests can run it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../core/cross_hadamard_depthwise_call.h"

namespace mmhadaptive::cuda {

constexpr int kExpandThreads = 256;
// Outputs of a block: a tile of this many columns and rows at most, of as many channels as make up
// a few outputs for every thread.
constexpr int kTileColumns = 32;
constexpr int kTileRows = 16;
constexpr int kOutputsPerBlock = 1024;
// The channels of neighbouring threads in an interleaved map.
constexpr int kInterleavedChannels = 32;
constexpr int kInterleavedTile = 8;
constexpr int kMaxGrid = 65535;

struct ExpandPlan {
  int rows;  // of the outputs of a block
  int columns;
  int channels;
  int in_rows;  // of the inputs that they read
  int in_columns;
  unsigned grid_x;  // tiles
  unsigned grid_y;  // groups of channels
  unsigned grid_z;  // images; a block takes turns where there are more
  int64_t tile_columns;
};

inline ExpandPlan plan_expand(const CrossHadamardDepthwiseCall& call) {
  const DepthwiseShape& shape = call.shape;
  const bool interleaved = call.layout == Layout::kInterleaved;
  const int64_t height = shape.out_height(), width = shape.out_width();
  const int64_t out_channels = shape.channels + call.pairs;
  ExpandPlan plan{};
  plan.rows =
      static_cast<int>(std::min<int64_t>(height, interleaved ? kInterleavedTile : kTileRows));
  plan.columns =
      static_cast<int>(std::min<int64_t>(width, interleaved ? kInterleavedTile : kTileColumns));
  const int fitting = std::max(1, kOutputsPerBlock / (plan.rows * plan.columns));
  plan.channels = static_cast<int>(std::min<int64_t>(
      out_channels, interleaved ? kInterleavedChannels : std::min(fitting, kInterleavedChannels)));
  plan.in_rows = (plan.rows - 1) * shape.stride + shape.kernel;
  plan.in_columns = (plan.columns - 1) * shape.stride + shape.kernel;
  plan.tile_columns = divide_up(width, plan.columns);
  plan.grid_x = static_cast<unsigned>(plan.tile_columns * divide_up(height, plan.rows));
  plan.grid_y = static_cast<unsigned>(divide_up(out_channels, plan.channels));
  plan.grid_z = static_cast<unsigned>(std::min<int64_t>(shape.batch, kMaxGrid));
  return plan;
}

}  // namespace mmhadaptive::cuda
