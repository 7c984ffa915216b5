#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bottleneck.h"
#include "bottleneck_kernels.h"
#include "depthwise_convolution_plan.h"
#include "instruction_set.h"

namespace mmhadaptive::cpu {
namespace {

// Multiplications that a thread gets at least.
constexpr int64_t kWork = 1 << 18;
// Rows of a panel that are expanded at a time, unless a single one is more: they stay in the
// first-level cache.
constexpr int64_t kPanelBytes = 24 * 1024;
// Floats of the workspace, unless those of a single image are more: large batches go through in
// parts.
constexpr int64_t kWorkspace = 1 << 20;

BottleneckKernels kernels() {
  return MMHADAPTIVE_WIDEST(bottleneck_forward_kernels)();
}

int64_t grain_of(int64_t multiplications) {
  return divide_up(kWork, std::max<int64_t>(1, multiplications));
}

// Parts of the workspace begin at whole vectors.
int64_t aligned(int64_t floats) {
  return divide_up(floats, kPanel) * kPanel;
}

// Selected values of a pixel, after which whole panels are read.
int64_t z_stride(const BottleneckCall& call) {
  return padded_channels(call.selected) + kPanel;
}

// The parts of the workspace, for one image or several.
struct Workspace {
  int64_t first;
  int64_t values;
  int64_t z;
  int64_t hidden;

  Workspace(const BottleneckCall& call, int64_t images) : first(0), values(0), z(0), hidden(0) {
    const int64_t pixels = call.x_maps.pixels();
    if (call.pointwise_weight != nullptr) {
      first = aligned(images * pixels * call.first);
    }
    if (call.expansion == Expansion::kCrossHadamard) {
      values = aligned(images * 2 * call.first);
      z = aligned(images * pixels * z_stride(call));
    }
    if (call.project_weight != nullptr) {
      hidden = aligned(images * call.out_height() * call.out_width() * call.hidden_stride());
    }
  }

  int64_t size() const {
    return first + values + z + hidden;
  }
};

int64_t images_at_once(const BottleneckCall& call) {
  const int64_t of_one = std::max<int64_t>(1, Workspace(call, 1).size());
  return std::clamp<int64_t>(kWorkspace / of_one, 1, std::max<int64_t>(1, call.x_maps.batch));
}

void multiply(const Product& op, int64_t rows, const ParallelFor& parallel_for) {
  const auto run = kernels().multiply;
  parallel_for(rows, grain_of(op.segments * op.length * op.channels),
               [&](int64_t begin, int64_t end) { run(op, begin, end); });
}

// A product with every pixel of maps.
void multiply_pixels(const float* a, int64_t pixels, int64_t stride, int64_t length,
                     const float* weight, const float* bias, Activation activation,
                     const float* residual, float* y, int64_t channels,
                     const ParallelFor& parallel_for) {
  const int64_t zero = 0;
  multiply({a, pixels, 1, 0, 0, stride, 1, length, &zero, weight, bias, activation, residual, y,
            channels, channels},
           pixels, parallel_for);
}

void check_index(const BottleneckCall& call) {
  for (int64_t at = 0; at < call.x_maps.batch * call.selected; ++at) {
    if (call.index[at] < 0 || call.index[at] >= call.first) {
      throw std::runtime_error("index[" + std::to_string(at / call.selected) + ", " +
                               std::to_string(at % call.selected) + "] is " +
                               std::to_string(call.index[at]) + ", outside of the " +
                               std::to_string(call.first) + " channels of x");
    }
  }
}

// `images` of the call from `first_image` on.
void forward_images(const BottleneckCall& call, int64_t first_image, int64_t images,
                    float* workspace, const ParallelFor& parallel_for) {
  const Maps& maps = call.x_maps;
  const int64_t pixels = maps.pixels();
  const int64_t out_pixels = call.out_height() * call.out_width();
  const Workspace sizes(call, images);
  float* memory = workspace;
  const auto take = [&](int64_t size) {
    float* part = memory;
    memory += size;
    return part;
  };
  const float* x = call.x + first_image * pixels * maps.channels;
  float* y = call.y + first_image * out_pixels * call.out_channels;

  const float* expanded = x;
  if (call.pointwise_weight != nullptr) {
    float* first = take(sizes.first);
    multiply_pixels(x, images * pixels, maps.channels, maps.channels, call.pointwise_weight,
                    call.pointwise_bias, call.pointwise_activation, nullptr, first, call.first,
                    parallel_for);
    expanded = first;
  }

  float* z = nullptr;
  if (call.expansion == Expansion::kCrossHadamard) {
    float* values = take(sizes.values);
    z = take(sizes.z);
    const Select op{expanded,
                    pixels,
                    call.first,
                    call.selection,
                    call.scores,
                    call.eca_kernel,
                    call.index == nullptr ? nullptr : call.index + first_image * call.selected,
                    call.selected,
                    values,
                    z,
                    z_stride(call)};
    const auto run = kernels().select;
    parallel_for(images, grain_of(pixels * (call.first / kPanel + call.selected)),
                 [&](int64_t begin, int64_t end) { run(op, begin, end); });
  }

  float* hidden = call.project_weight == nullptr ? y : take(sizes.hidden);
  const DepthwiseShape shape{images,      kPanel,      maps.height, maps.width,
                             call.kernel, call.stride, call.padding};
  const HostPlan plan =
      HostPlan::forward(shape, sizeof(float), Layout::kInterleaved, kPanelBytes);
  const DepthwiseShape cheap_shape{images, kPanel, maps.height, maps.width, 3, 1, 1};
  const HostPlan cheap = HostPlan::forward(cheap_shape, sizeof(float), Layout::kInterleaved);
  Expand op{plan.get(),
            cheap.get(),
            expanded,
            call.first,
            call.first,
            call.second,
            call.expansion,
            z,
            z_stride(call),
            call.selected,
            call.norm,
            call.alpha,
            call.norm_weight,
            call.norm_bias,
            call.cheap_weight,
            call.cheap_bias,
            call.depthwise_weight,
            call.depthwise_bias,
            call.activation,
            hidden,
            call.project_weight == nullptr ? call.out_channels : call.hidden_stride(),
            call.project_weight == nullptr ? call.first : padded_channels(call.first)};
  op.cheap.x.rows = op.plan.x.rows + 2;
  const auto run = kernels().expand;
  const int taps = call.kernel * call.kernel + (call.expansion == Expansion::kGhost ? 9 : 0);
  parallel_for(images * op.tasks_of_image(), grain_of(out_pixels * taps * kPanel),
               [&](int64_t begin, int64_t end) {
                 const DepthwiseScratch scratch(op.scratch() * sizeof(float));
                 run(op, scratch.data(), begin, end);
               });

  if (call.project_weight != nullptr) {
    multiply_pixels(hidden, images * out_pixels, call.hidden_stride(), call.hidden(),
                    call.project_weight, call.project_bias, Activation::kNone,
                    call.residual ? x : nullptr, y, call.out_channels, parallel_for);
  }
}

void transpose(const float* from, float* to, int64_t batch, int64_t rows, int64_t columns,
               const ParallelFor& parallel_for) {
  const Transposed op{from, to, rows, columns};
  const auto run = kernels().transpose;
  parallel_for(batch * columns, divide_up(kGrain, std::max<int64_t>(1, rows)),
               [&](int64_t begin, int64_t end) { run(op, begin, end); });
}

}  // namespace

int64_t bottleneck_workspace(const BottleneckCall& call) {
  return Workspace(call, images_at_once(call)).size();
}

void bottleneck_forward(const BottleneckCall& call, float* workspace,
                        const ParallelFor& parallel_for) {
  if (call.expansion == Expansion::kCrossHadamard && call.selection == Selection::kGiven) {
    check_index(call);
  }
  const int64_t at_once = images_at_once(call);
  for (int64_t n = 0; n < call.x_maps.batch; n += at_once) {
    forward_images(call, n, std::min(at_once, call.x_maps.batch - n), workspace, parallel_for);
  }
}

void patch_convolution_forward(const PatchConvolutionCall& call,
                               const ParallelFor& parallel_for) {
  const Maps& maps = call.x_maps;
  const int64_t kernel = call.kernel;
  const int64_t lines = maps.height / kernel;
  const int64_t columns = maps.width / kernel;
  const bool planar = call.x_layout == Layout::kPlanar;
  const int64_t step = planar ? 1 : maps.channels;
  std::vector<int64_t> offsets;
  for (int64_t c = 0; c < (planar ? maps.channels : 1); ++c) {
    for (int64_t row = 0; row < kernel; ++row) {
      offsets.push_back(c * maps.pixels() + row * maps.width * step);
    }
  }
  Product op{call.x,
             columns,
             lines,
             maps.channels * maps.pixels(),
             kernel * maps.width * step,
             kernel * step,
             static_cast<int>(offsets.size()),
             kernel * step,
             offsets.data(),
             call.weight,
             call.bias,
             call.activation,
             nullptr,
             call.y,
             call.out_channels,
             call.out_channels};
  if (kernel == 1 && !planar) {
    // One line of all pixels leaves no short tiles.
    op.line_pixels = maps.batch * maps.pixels();
    op.image_lines = 1;
  }
  multiply(op, maps.batch * lines * columns, parallel_for);
}

void cross_hadamard_depthwise_forward(const CrossHadamardDepthwiseCall& given,
                                      const ParallelFor& parallel_for) {
  const DepthwiseShape& shape = given.shape;
  const int64_t channels = shape.channels;
  const int taps = shape.kernel * shape.kernel;
  const Maps maps{shape.batch, channels, shape.height, shape.width};
  const Maps out{shape.batch, channels + given.pairs, shape.out_height(), shape.out_width()};
  const bool planar = given.layout == Layout::kPlanar;
  BottleneckCall call{};
  call.x_maps = maps;
  call.out_channels = out.channels;
  call.kernel = shape.kernel;
  call.stride = shape.stride;
  call.padding = shape.padding;
  call.activation = given.activation;
  call.expansion = Expansion::kCrossHadamard;
  call.first = channels;
  call.second = given.pairs;
  call.selected = given.selected;
  call.selection = Selection::kGiven;
  call.index = given.index;
  call.norm = given.norm;
  call.alpha = *static_cast<const float*>(given.alpha);

  const int64_t width = call.hidden_stride(), pairs = padded_channels(given.pairs);
  const int64_t first = padded_channels(channels);
  const int64_t workspace = bottleneck_workspace(call);
  const int64_t copies = planar ? aligned(maps.size()) + aligned(out.size()) : 0;
  const DepthwiseScratch scratch((workspace + copies + width * (taps + 1) + 2 * pairs) *
                                 sizeof(float));
  float* memory = static_cast<float*>(scratch.data()) + workspace;
  const auto take = [&](int64_t size) {
    float* part = memory;
    memory += aligned(size);
    return part;
  };
  const auto packed = [&](const void* from, int64_t count, float* to) {
    pack_vector(static_cast<const float*>(from), count, to);
    return to;
  };
  call.norm_weight = packed(given.norm_weight, given.pairs, take(pairs));
  call.norm_bias = packed(given.norm_bias, given.pairs, take(pairs));
  float* const weight = take(width * taps);
  const float* const from = static_cast<const float*>(given.weight);
  pack_depthwise(from, channels, shape.kernel, weight);
  pack_depthwise(from + channels * taps, given.pairs, shape.kernel, weight + first * taps);
  float* const bias = take(width);
  packed(given.bias, channels, bias);
  packed(static_cast<const float*>(given.bias) + channels, given.pairs, bias + first);
  call.depthwise_weight = weight;
  call.depthwise_bias = bias;

  const float* const x = static_cast<const float*>(given.x.data);
  float* const y = static_cast<float*>(given.y);
  call.x = x;
  call.y = y;
  if (planar) {
    float* const interleaved = take(maps.size());
    planar_to_interleaved(maps, x, interleaved, parallel_for);
    call.x = interleaved;
    call.y = take(out.size());
  }
  bottleneck_forward(call, static_cast<float*>(scratch.data()), parallel_for);
  if (planar) {
    interleaved_to_planar(out, call.y, y, parallel_for);
  }
}

void planar_to_interleaved(const Maps& maps, const float* from, float* to,
                           const ParallelFor& parallel_for) {
  transpose(from, to, maps.batch, maps.channels, maps.pixels(), parallel_for);
}

void interleaved_to_planar(const Maps& maps, const float* from, float* to,
                           const ParallelFor& parallel_for) {
  transpose(from, to, maps.batch, maps.pixels(), maps.channels, parallel_for);
}

void pack_pointwise(const float* weight, int64_t out_channels, int64_t in_channels, float* to) {
  for (int64_t o = 0; o < padded_channels(out_channels); ++o) {
    float* panel = to + o / kPanel * in_channels * kPanel + o % kPanel;
    for (int64_t i = 0; i < in_channels; ++i) {
      panel[i * kPanel] = o < out_channels ? weight[o * in_channels + i] : 0.0f;
    }
  }
}

void pack_depthwise(const float* weight, int64_t channels, int kernel, float* to) {
  pack_pointwise(weight, channels, kernel * kernel, to);
}

void pack_vector(const float* values, int64_t channels, float* to) {
  pack_pointwise(values, channels, 1, to);
}

}  // namespace mmhadaptive::cpu
