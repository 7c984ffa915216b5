#include "block_chain.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "../core/depthwise_convolution_call.h"
#include "bottleneck.h"

namespace mmhadaptive::cpu {
namespace {

// More than this a thread does not keep for its next call.
constexpr int64_t kKeptFloats = 1 << 22;

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw std::runtime_error(message.str());
}

BlockSpec spec_of(const BlockChainCall& call, int64_t block) {
  BlockSpec spec;
  std::memcpy(&spec, call.spec + block * kSpecNumbers, sizeof spec);
  return spec;
}

// Takes the floats of a chain one after the other; with null, counts them.
class Floats {
 public:
  explicit Floats(const float* data) : data_(data) {
  }

  const float* take(int64_t channels, int64_t values = 1) {
    const float* part = data_ == nullptr ? nullptr : data_ + taken_;
    taken_ += padded_channels(channels) * values;
    return part;
  }
  int64_t taken() const {
    return taken_;
  }

 private:
  const float* data_;
  int64_t taken_ = 0;
};

PatchConvolutionCall patch_convolution(const BlockSpec& spec, Floats& floats) {
  PatchConvolutionCall call{};
  call.x_layout = spec.planar ? Layout::kPlanar : Layout::kInterleaved;
  call.out_channels = spec.out_channels;
  call.kernel = static_cast<int>(spec.kernel);
  call.weight = floats.take(spec.out_channels, spec.in_channels * spec.kernel * spec.kernel);
  call.bias = floats.take(spec.out_channels);
  call.activation = static_cast<Activation>(spec.activation);
  return call;
}

BottleneckCall bottleneck(const BlockSpec& spec, Floats& floats) {
  BottleneckCall call{};
  call.out_channels = spec.out_channels;
  call.kernel = static_cast<int>(spec.kernel);
  call.stride = static_cast<int>(spec.stride);
  call.padding = static_cast<int>(spec.padding);
  call.activation = static_cast<Activation>(spec.activation);
  call.residual = spec.residual != 0;
  call.expansion = static_cast<Expansion>(spec.expansion);
  call.first = spec.first;
  call.second = spec.second;
  call.pointwise_activation = static_cast<Activation>(spec.pointwise_activation);
  if (spec.pointwise != 0) {
    call.pointwise_weight = floats.take(spec.first, spec.in_channels);
    call.pointwise_bias = floats.take(spec.first);
  }
  if (call.expansion == Expansion::kCrossHadamard) {
    call.selected = static_cast<int>(spec.selected);
    call.selection = static_cast<Selection>(spec.selection);
    call.eca_kernel = static_cast<int>(spec.eca_kernel);
    if (call.selection == Selection::kEca) {
      call.scores = floats.take(spec.eca_kernel);
    } else if (call.selection == Selection::kStatic) {
      call.scores = floats.take(spec.first);
    }
    call.norm = static_cast<Norm>(spec.norm);
    const float* alpha = floats.take(1);
    call.alpha = alpha == nullptr ? 1.0f : *alpha;
    call.norm_weight = floats.take(spec.second);
    call.norm_bias = floats.take(spec.second);
  } else if (call.expansion == Expansion::kGhost) {
    call.cheap_weight = floats.take(spec.first, 9);
    call.cheap_bias = floats.take(spec.first);
  }
  const int64_t width = padded_channels(spec.first) + padded_channels(spec.second);
  call.depthwise_weight = floats.take(width, spec.kernel * spec.kernel);
  call.depthwise_bias = floats.take(width);
  call.project_weight = floats.take(spec.out_channels, call.hidden());
  call.project_bias = floats.take(spec.out_channels);
  return call;
}

Maps after(const BlockSpec& spec, const Maps& maps) {
  if (spec.block == static_cast<int>(Block::kPatchConvolution)) {
    return {maps.batch, spec.out_channels, maps.height / spec.kernel, maps.width / spec.kernel};
  }
  const int kernel = static_cast<int>(spec.kernel), stride = static_cast<int>(spec.stride);
  const int padding = static_cast<int>(spec.padding);
  return {maps.batch, spec.out_channels, convolved_size(maps.height, kernel, stride, padding),
          convolved_size(maps.width, kernel, stride, padding)};
}

bool within(int64_t value, int64_t least, int64_t most) {
  return value >= least && value <= most;
}

bool is_bottleneck(const BlockSpec& spec) {
  if (!within(spec.kernel, 1, kMaxKernel) || !within(spec.stride, 1, kMaxStride) ||
      !within(spec.padding, 0, spec.kernel - 1) || !within(spec.expansion, 0, 3) ||
      !within(spec.first, 1, INT32_MAX) || !within(spec.pointwise_activation, 0, 2) ||
      (spec.residual != 0 && (spec.in_channels != spec.out_channels || spec.stride != 1 ||
                              spec.kernel != 2 * spec.padding + 1)) ||
      (spec.pointwise == 0 && spec.first != spec.in_channels)) {
    return false;
  }
  switch (static_cast<Expansion>(spec.expansion)) {
    case Expansion::kCrossHadamard:
      return within(spec.selected, kMinSelected, std::min<int64_t>(kMaxSelected, spec.first)) &&
             spec.second == pair_count(static_cast<int>(spec.selected)) &&
             within(spec.selection, 0, 2) && within(spec.norm, 0, 3) &&
             (spec.selection != 0 || (spec.eca_kernel % 2 == 1 && spec.eca_kernel > 0));
    case Expansion::kGhost:
      return spec.second == spec.first;
    default:
      return spec.second == 0;
  }
}

// Memory of a thread that outlives the call, so that the next one finds its pages.
float* memory_for(int64_t floats, std::unique_ptr<float[]>& own) {
  thread_local std::unique_ptr<float[]> kept;
  thread_local int64_t size = 0;
  constexpr int64_t kAlignment = 64 / sizeof(float);
  std::unique_ptr<float[]>& memory = floats > kKeptFloats ? own : kept;
  if (floats > kKeptFloats || floats > size) {
    memory.reset(new float[floats + kAlignment]);
    size = floats > kKeptFloats ? size : floats;
  }
  void* start = memory.get();
  size_t space = (floats + kAlignment) * sizeof(float);
  return static_cast<float*>(std::align(64, floats * sizeof(float), start, space));
}

}  // namespace

Maps checked_block_chain(const BlockChainCall& call) {
  Maps maps = call.x_maps;
  Floats floats(nullptr);
  for (int64_t at = 0; at < call.blocks; ++at) {
    const BlockSpec spec = spec_of(call, at);
    if (spec.in_channels != maps.channels || !within(spec.out_channels, 1, INT32_MAX)) {
      fail("block ", at, " takes ", spec.in_channels, " channels, but its input has ",
           maps.channels);
    }
    const bool patch = spec.block == static_cast<int>(Block::kPatchConvolution);
    if (!within(spec.block, 0, 1) || !within(spec.activation, 0, 2) ||
        !within(spec.residual, 0, 1) || !within(spec.pointwise, 0, 1) ||
        !within(spec.planar, 0, 1) ||
        (patch ? !within(spec.kernel, 1, 64) || spec.stride != spec.kernel : !is_bottleneck(spec)) ||
        (spec.planar != 0 && (at > 0 || !patch))) {
      fail("block ", at, " is described by numbers that do not belong together");
    }
    const int64_t reach = spec.kernel - 2 * (patch ? 0 : spec.padding);
    if (maps.height < std::max<int64_t>(1, reach) || maps.width < std::max<int64_t>(1, reach)) {
      fail("block ", at, " has a kernel of ", spec.kernel, " pixels, which does not fit on maps of ",
           maps.height, "x", maps.width);
    }
    if (patch) {
      patch_convolution(spec, floats);
    } else {
      bottleneck(spec, floats);
    }
    maps = after(spec, maps);
  }
  if (floats.taken() != call.packed_size) {
    fail("the blocks have ", floats.taken(), " parameters, but there are ", call.packed_size);
  }
  return maps;
}

void block_chain_forward(const BlockChainCall& call, const ParallelFor& parallel_for) {
  // The maps between blocks take turns in two places, beside what a bottleneck needs.
  int64_t between = 0, workspace = 0;
  Maps maps = call.x_maps;
  Floats counted(nullptr);
  for (int64_t at = 0; at < call.blocks; ++at) {
    const BlockSpec spec = spec_of(call, at);
    between = std::max(between, maps.size());
    if (spec.block == static_cast<int>(Block::kBottleneck)) {
      static const float present = 0;
      BottleneckCall sized = bottleneck(spec, counted);
      sized.x_maps = maps;
      sized.pointwise_weight = spec.pointwise ? &present : nullptr;
      sized.project_weight = &present;
      workspace = std::max(workspace, bottleneck_workspace(sized));
    }
    maps = after(spec, maps);
  }
  between = divide_up(std::max(between, maps.size()), kPanel) * kPanel;
  std::unique_ptr<float[]> own;
  float* const memory = memory_for(2 * between + workspace, own);
  float* const places[2] = {memory + workspace, memory + workspace + between};

  maps = call.x_maps;
  const float* x = call.x;
  int place = 0;
  const bool planar = call.blocks > 0 && spec_of(call, 0).planar != 0;
  if (planar != (call.x_layout == Layout::kPlanar)) {
    (planar ? interleaved_to_planar : planar_to_interleaved)(maps, x, places[place], parallel_for);
    x = places[place];
    place = 1 - place;
  }
  Floats floats(call.packed);
  for (int64_t at = 0; at < call.blocks; ++at) {
    const BlockSpec spec = spec_of(call, at);
    const bool last = at == call.blocks - 1 && call.y_layout == Layout::kInterleaved;
    float* y = last ? call.y : places[place];
    if (spec.block == static_cast<int>(Block::kPatchConvolution)) {
      PatchConvolutionCall block = patch_convolution(spec, floats);
      block.x_maps = maps;
      block.x = x;
      block.y = y;
      patch_convolution_forward(block, parallel_for);
    } else {
      BottleneckCall block = bottleneck(spec, floats);
      block.x_maps = maps;
      block.x = x;
      block.y = y;
      bottleneck_forward(block, memory, parallel_for);
    }
    maps = after(spec, maps);
    x = y;
    place = 1 - place;
  }
  if (call.y_layout == Layout::kPlanar) {
    interleaved_to_planar(maps, x, call.y, parallel_for);
  } else if (call.blocks == 0) {
    std::copy(x, x + maps.size(), call.y);
  }
}

}  // namespace mmhadaptive::cpu
