#include "depthwise_convolution_plan.h"

#include <algorithm>

#include "parallel_for.h"

namespace mmhadaptive::cpu {
namespace {

// Batches are cut so that there are this many tasks, if there are as many images.
constexpr int64_t kTasks = 64;
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

int64_t padded(int64_t columns) {
  return divide_up(columns, kSideBySide) * kSideBySide;
}

// As many rows as fit, of `all`, evenly.
int64_t band_of(int64_t all, int64_t scratch_bytes, int64_t fixed_bytes, int64_t bytes_of_a_row) {
  const int64_t fitting = std::max<int64_t>(1, (scratch_bytes - fixed_bytes) / bytes_of_a_row);
  return divide_up(all, divide_up(all, fitting));
}

// The rows of x that tap row i leads to from y, and the other way around.
int64_t row_of_x(const DepthwiseShape& shape, int64_t row_of_y, int64_t i) {
  return row_of_y * shape.stride + i - shape.padding;
}
RowRange rows_of_y(const DepthwiseShape& shape, RowRange rows_of_x, int64_t i) {
  const int64_t by = shape.padding - i;
  return {std::max<int64_t>(0, -floor_divide(-rows_of_x.first - by, shape.stride)),
          std::min(shape.out_height(), floor_divide(rows_of_x.last - 1 + by, shape.stride) + 1)};
}

}  // namespace

HostPlan::HostPlan(const DepthwiseShape& shape) : plan_{} {
  DepthwisePlan& plan = plan_;
  plan.shape = shape;
  const Taps rows = taps_on_map(shape, shape.height, shape.out_height());
  const Taps columns = taps_on_map(shape, shape.width, shape.out_width());
  plan.first_row = rows.begin;
  plan.rows = rows.end - rows.begin;
  plan.first_column = columns.begin;
  plan.columns = columns.end - columns.begin;
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
  const int64_t images = std::max<int64_t>(shape.batch, 1);
  plan.images = divide_up(images, std::min(images, divide_up(kTasks, plan.blocks())));
}

HostPlan HostPlan::forward(const DepthwiseShape& shape, int64_t value_bytes, Layout layout,
                           int64_t scratch_bytes) {
  HostPlan host(shape);
  DepthwisePlan& plan = host.plan_;
  const int64_t columns = padded(shape.out_width());
  for (int r = 0; r < shape.stride; ++r) {
    DepthwisePhase& phase = plan.phases[r];
    const int64_t left = std::max<int64_t>(0, -phase.offset);
    const int64_t right = std::max(phase.width, columns + phase.offset + phase.taps - 1);
    phase.start = plan.x.row + left;
    plan.x.row += left + right;
  }
  // Sums of one phase are written as they come about.
  plan.y.row = layout == Layout::kInterleaved && shape.stride == 1 ? 0 : columns;
  const int64_t pixel = value_bytes * kChannelBlock;
  plan.band = band_of(shape.out_height(), scratch_bytes, plan.x.row * plan.rows * pixel,
                      (shape.stride * plan.x.row + plan.y.row) * pixel);
  plan.y.rows = plan.band;
  plan.x.rows = (plan.band - 1) * shape.stride + plan.rows;

  const int64_t end = plan.first_row + plan.rows;
  for (int64_t row = 0; row < shape.out_height(); ++row) {
    const int64_t above = row_of_x(shape, row, 0);
    const int64_t first = std::max<int64_t>(plan.first_row, -above);
    const int64_t last = std::min(end, shape.height - above);
    host.row_taps_.push_back({static_cast<int>(first),
                              static_cast<int>(std::max<int64_t>(0, last - first)),
                              above + first});
  }
  for (int64_t top = 0; top < shape.out_height(); top += plan.band) {
    const int64_t bottom = std::min(shape.out_height(), top + plan.band);
    host.band_rows_.push_back(
        {std::max<int64_t>(0, row_of_x(shape, top, plan.first_row)),
         std::min(shape.height, row_of_x(shape, bottom - 1, end - 1) + 1)});
  }
  plan.row_taps = host.row_taps_.data();
  plan.band_rows = host.band_rows_.data();
  return host;
}

HostPlan HostPlan::backward(const DepthwiseShape& shape, int64_t value_bytes) {
  HostPlan host(shape);
  DepthwisePlan& plan = host.plan_;
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
  plan.band = band_of(shape.height, kScratchBytes, plan.y.row * plan.rows * pixel,
                      (plan.x.row + divide_up(plan.y.row, shape.stride)) * pixel);
  plan.x.rows = plan.band;
  plan.y.rows = divide_up(plan.band + plan.rows - 1, shape.stride);

  // Tap row i reads row (below - i) / stride of dy, where that is a whole number.
  const int64_t last = plan.first_row + plan.rows - 1;
  for (int64_t row = 0; row < shape.height; ++row) {
    const int64_t below = row + shape.padding;
    int64_t first = std::max<int64_t>(plan.first_row,
                                      below - (shape.out_height() - 1) * shape.stride);
    first += (below - first) % shape.stride;
    const int64_t count = floor_divide(std::min(last, below) - first, shape.stride) + 1;
    host.row_taps_.push_back({static_cast<int>(first),
                              static_cast<int>(std::max<int64_t>(0, count)),
                              (below - first) / shape.stride});
  }
  for (int64_t top = 0; top < shape.height; top += plan.band) {
    const RowRange band{top, std::min(shape.height, top + plan.band)};
    host.band_rows_.push_back({rows_of_y(shape, band, last).first,
                               rows_of_y(shape, band, plan.first_row).last});
    for (int64_t i = plan.first_row; i <= last; ++i) {
      host.tap_rows_.push_back(rows_of_y(shape, band, i));
    }
  }
  plan.row_taps = host.row_taps_.data();
  plan.band_rows = host.band_rows_.data();
  plan.tap_rows = host.tap_rows_.data();
  return host;
}

int64_t depthwise_grain(const DepthwisePlan& plan) {
  const DepthwiseShape& shape = plan.shape;
  const int64_t pixels = shape.height * shape.width + shape.out_height() * shape.out_width();
  return divide_up(kGrain, std::max<int64_t>(1, plan.images * pixels * kChannelBlock));
}

}  // namespace mmhadaptive::cpu
