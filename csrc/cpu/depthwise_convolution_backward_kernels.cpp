// setup.py compiles this file once per instruction set, and MMHADAPTIVE_INSTRUCTION_SET names the
// namespace of the copy.
#include "depthwise_convolution_parts.h"

namespace mmhadaptive::cpu {
namespace {

// Rows of x and the rows of dy that a row of the kernel leads them to. All distances are in values.
// The taps go backwards, from the one that the first column of dy belongs to.
template <class A>
struct CorrelatedRows {
  const A* x;
  int64_t x_row;
  const A* dy;
  int64_t dy_row;
  A* dweight;
  int64_t tap;
  int64_t rows;
  int64_t width;  // of x, which is zero up to the next even number of columns
};

// Adds the products of x and dy up for every tap. Two columns of x share the loads of dy; where
// there are registers for it they have sums of their own, so that more additions are under way.
template <class A, int taps>
void correlate(const CorrelatedRows<A>& given) {
  using Math = VectorMath<A>;
  using V = typename Math::V;
  constexpr int kSums = kVectorBytes == 64 || taps < 5 ? 2 : 1;
  for (int lane = 0; lane < kChannelBlock; lane += Math::lanes) {
    V sums[kSums][taps] = {};
    for (int64_t row = 0; row < given.rows; ++row) {
      const A* x = given.x + row * given.x_row + lane;
      const A* dy = given.dy + row * given.dy_row + lane;
      for (int64_t column = 0; column < given.width; column += 2) {
        const V x0 = Math::load(x);
        const V x1 = Math::load(x + kChannelBlock);
        V g = Math::load(dy);
#pragma GCC unroll 8
        for (int t = 0; t < taps; ++t) {
          sums[0][t] += x0 * g;
          g = Math::load(dy + (t + 1) * kChannelBlock);
          sums[kSums - 1][t] += x1 * g;
        }
        x += 2 * kChannelBlock;
        dy += 2 * kChannelBlock;
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < taps; ++t) {
      A* sum = given.dweight + t * given.tap + lane;
      const V found = kSums == 2 ? sums[0][t] + sums[kSums - 1][t] : sums[0][t];
      Math::store(sum, Math::load(sum) + found);
    }
  }
}

template <class A>
void correlate(int taps, const CorrelatedRows<A>& rows) {
  static constexpr void (*kByTaps[])(const CorrelatedRows<A>&) = {
      correlate<A, 1>, correlate<A, 2>, correlate<A, 3>, correlate<A, 4>,
      correlate<A, 5>, correlate<A, 6>, correlate<A, 7>};
  kByTaps[taps - 1](rows);
}

template <class T, Layout layout>
void backward_tasks(const DepthwiseBackward& op, void* scratch, int64_t begin, int64_t end) {
  using A = typename AccumulateOf<T>::type;
  const DepthwisePlan& plan = op.plan;
  const DepthwiseShape& shape = plan.shape;
  const int64_t out_width = shape.out_width();
  const AnyInput out = dense(op.dx, layout, shape.channels, shape.height * shape.width);
  const int64_t x_distance = plan.x.row * kChannelBlock;
  const int64_t dy_distance = plan.y.row * kChannelBlock;
  const int64_t x_pixel = layout == Layout::kInterleaved ? op.x.row_stride : 1;
  const int64_t dy_pixel = layout == Layout::kInterleaved ? op.dy.row_stride : 1;
  const int64_t dx_pixel = layout == Layout::kInterleaved ? shape.channels : 1;
  const int64_t weight_row = shape.kernel * kChannelBlock;
  const int64_t weight_tap = shape.stride * kChannelBlock;
  const int64_t dy_ahead = plan.band * out_width / shape.stride;
  alignas(64) const A zeros[kChannelBlock] = {};
  A* weight = static_cast<A*>(scratch);
  A* x = weight + plan.weights();
  A* dy = x + plan.x.size();

  for (int64_t number = begin; number < end; ++number) {
    const DepthwiseTask task = task_of(plan, number);
    const ChannelBlock channels = task.channels;
    load_weights(plan, op.weight, channels, weight);
    A* dweight = static_cast<A*>(op.dweight) + number * plan.weights();
    for (int64_t k = 0; k < plan.weights(); ++k) {
      dweight[k] = 0;
    }
    Convolved<T> given{};
    given.to_row = shape.width * dx_pixel;
    given.to_column = shape.stride * dx_pixel;
    given.channels = channels.count;
    given.start = zeros;
    given.from_row = dy_distance;
    given.from_step = -dy_distance;
    given.weight_row = weight_row;
    given.weight_step = shape.stride * weight_row;
    given.weight_tap = -weight_tap;
    for (int64_t n = task.first_image; n < task.last_image; ++n) {
      const T* from = image_of<T, layout>(op.x, n, channels.first);
      T* to = const_cast<T*>(image_of<T, layout>(out, n, channels.first));
      const T* gradient = image_of<T, layout>(op.dy, n, channels.first);
      const RowRange* in = plan.band_rows;
      const RowRange* by_tap = plan.tap_rows;
      for (int64_t top = 0; top < shape.height; top += plan.band, ++in, by_tap += plan.rows) {
        const int64_t rows = smaller(plan.band, shape.height - top);
        for (int64_t row = 0; row < rows; ++row) {
          for (int r = 0; r < shape.stride; ++r) {
            Transfer<T, layout>::load(
                from + ((top + row) * shape.width + r) * x_pixel, op.x.row_stride, shape.stride,
                plan.phases[r].width, channels.count, plan.band * shape.width,
                x + row * x_distance + plan.phases[r].start * kChannelBlock);
          }
        }
        for (int64_t row = in->first; row < in->last; ++row) {
          Transfer<T, layout>::load(
              gradient + row * out_width * dy_pixel, op.dy.row_stride, 1, out_width,
              channels.count, dy_ahead,
              dy + (row - in->first) * dy_distance + plan.y.left * kChannelBlock);
        }
        for (int r = 0; r < shape.stride; ++r) {
          const DepthwisePhase& phase = plan.phases[r];
          const int64_t column = plan.y.left - phase.offset - phase.taps + 1;
          const int64_t last_tap = phase.first + (phase.taps - 1) * shape.stride;
          const A* first_dy = dy + column * kChannelBlock - in->first * dy_distance;
          for (int i = 0; i < plan.rows && phase.taps > 0; ++i) {
            const RowRange& range = by_tap[i];
            const int tap_row = plan.first_row + i;
            const int64_t x_row = range.first * shape.stride + tap_row - shape.padding - top;
            correlate<A>(phase.taps,
                         {x + x_row * x_distance + phase.start * kChannelBlock,
                          shape.stride * x_distance, first_dy + range.first * dy_distance,
                          dy_distance, dweight + tap_row * weight_row + last_tap * kChannelBlock,
                          -weight_tap, range.last - range.first, phase.width});
          }
          if (op.dx == nullptr) {
            continue;
          }
          given.to = to + (top * shape.width + r) * dx_pixel;
          given.rows = rows;
          given.width = phase.width;
          given.taps = plan.row_taps + top;
          given.from = first_dy;
          given.weight = weight + last_tap * kChannelBlock;
          if (layout == Layout::kInterleaved) {
            convolve(phase.taps, given);
            continue;
          }
          // The columns of x have served.
          A* dx = x + phase.start * kChannelBlock;
          convolve(phase.taps, into_scratch(given, dx, x_distance));
          for (int64_t row = 0; row < rows; ++row) {
            Transfer<T, layout>::store(dx + row * x_distance, phase.width, channels.count,
                                       given.to + row * shape.width, out.row_stride,
                                       shape.stride);
          }
        }
      }
    }
  }
}

}  // namespace

DepthwiseBackwardKernel MMHADAPTIVE_INSTRUCTION_SET::depthwise_backward_kernel(Element element,
                                                                               Layout layout) {
  return with_element(element, layout, [](auto zero, auto constant) -> DepthwiseBackwardKernel {
    return backward_tasks<decltype(zero), decltype(constant)::value>;
  });
}

}  // namespace mmhadaptive::cpu
