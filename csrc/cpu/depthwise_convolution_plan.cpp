#include "depthwise_convolution_plan.h"

#include <algorithm>

#include "parallel_for.h"

namespace mmhadaptive::cpu {
namespace {

// Batches are cut so that there are this many tasks, if there are as many images.
constexpr int64_t kTasks = 64;
// Scratch maps of a thread, unless those of a single row are larger: they stay in the second-level
// cache.
constexpr int64_t kScratchBytes = 192 * 1024;
// Columns that kernels carry side by side; rows of scratch maps have zeros for the last ones.
constexpr int64_t kSideBySide = 2;

int64_t floor_divide(int64_t a, int64_t b) {
  return a >= 0 ? a / b : -divide_up(-a, b);
}

// The taps of a side of the kernel that meet a pixel of the map: those at which output pixel o and
// input pixel o * stride + tap - padding are both on their maps.
struct Taps {
  int begin;
  int end;
};

Taps taps_on_map(const DepthwiseShape& shape, int64_t size, int64_t out_size) {
  const int64_t begin = shape.padding - (out_size - 1) * shape.stride;
  const int64_t end = size + shape.padding;
  return {static_cast<int>(std::max<int64_t>(0, begin)),
          static_cast<int>(std::min<int64_t>(shape.kernel, end))};
}

DepthwisePlan plan_of(const DepthwiseShape& shape) {
  DepthwisePlan plan{};
  plan.shape = shape;
  const Taps rows = taps_on_map(shape, shape.height, shape.out_height());
  const Taps columns = taps_on_map(shape, shape.width, shape.out_width());
  plan.first_row = rows.begin;
  plan.rows = rows.end - rows.begin;
  const int s = shape.stride;
  for (int r = 0; r < s; ++r) {
    DepthwisePhase& phase = plan.phases[r];
    phase.first = columns.begin;
    while ((phase.first + shape.padding * (s - 1) - r) % s != 0) {
      ++phase.first;
    }
    phase.taps = static_cast<int>(std::max<int64_t>(0, divide_up(columns.end - phase.first, s)));
    phase.offset = floor_divide(phase.first - shape.padding, s);
    phase.width = divide_up(std::max<int64_t>(0, shape.width - r), s);
  }
  const int64_t tasks_of_an_image = plan.blocks();
  const int64_t chunks =
      std::clamp<int64_t>(divide_up(kTasks, tasks_of_an_image), 1, std::max<int64_t>(shape.batch, 1));
  plan.images = std::max<int64_t>(1, divide_up(shape.batch, chunks));
  return plan;
}

int64_t padded(int64_t columns) {
  return divide_up(columns, kSideBySide) * kSideBySide;
}

// As many rows as fit, of `all`, evenly.
int64_t band_of(int64_t all, int64_t fixed_bytes, int64_t bytes_of_a_row) {
  const int64_t fitting = std::max<int64_t>(1, (kScratchBytes - fixed_bytes) / bytes_of_a_row);
  return divide_up(all, divide_up(all, fitting));
}

}  // namespace

DepthwisePlan forward_plan(const DepthwiseShape& shape, int64_t value_bytes) {
  DepthwisePlan plan = plan_of(shape);
  const int64_t columns = padded(shape.out_width());
  for (int r = 0; r < shape.stride; ++r) {
    DepthwisePhase& phase = plan.phases[r];
    const int64_t left = std::max<int64_t>(0, -phase.offset);
    const int64_t right = std::max(phase.width, columns + phase.offset + phase.taps - 1);
    phase.start = plan.x.row + left;
    plan.x.row += left + right;
  }
  plan.y.row = columns;
  const int64_t pixel = value_bytes * kChannelBlock;
  plan.band = band_of(shape.out_height(), plan.x.row * plan.rows * pixel,
                      shape.stride * plan.x.row * pixel);
  plan.y.rows = 1;
  plan.x.rows = (plan.band - 1) * shape.stride + plan.rows;
  return plan;
}

DepthwisePlan backward_plan(const DepthwiseShape& shape, int64_t value_bytes) {
  DepthwisePlan plan = plan_of(shape);
  int64_t right = shape.out_width();
  for (int r = 0; r < shape.stride; ++r) {
    DepthwisePhase& phase = plan.phases[r];
    const int64_t columns = padded(phase.width);
    phase.start = plan.x.row;
    plan.x.row += columns;
    if (phase.taps > 0) {
      plan.y.left = std::max(plan.y.left, phase.offset + phase.taps - 1);
      right = std::max(right, columns - phase.offset);
    }
  }
  plan.y.row = plan.y.left + right;
  const int64_t pixel = value_bytes * kChannelBlock;
  plan.band = band_of(shape.height, plan.y.row * plan.rows * pixel,
                      (plan.x.row + divide_up(plan.y.row, shape.stride)) * pixel);
  plan.x.rows = plan.band;
  plan.y.rows = divide_up(plan.band + plan.rows - 1, shape.stride);
  return plan;
}

int64_t depthwise_grain(const DepthwisePlan& plan) {
  const DepthwiseShape& shape = plan.shape;
  const int64_t pixels = shape.height * shape.width + shape.out_height() * shape.out_width();
  return divide_up(kGrain, std::max<int64_t>(1, plan.images * pixels * kChannelBlock));
}

}  // namespace mmhadaptive::cpu
