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
  alignas(64) const A zeros[kChannelBlock] = {};
  A* weight = static_cast<A*>(scratch);
  A* x = weight + plan.weights();
  A* dy = x + plan.x.size();
  A* dx = dy + plan.y.size();

  for (int64_t number = begin; number < end; ++number) {
    const DepthwiseTask task = task_of(plan, number);
    const ChannelBlock channels = task.channels;
    load_weights(plan, op.weight, channels, weight);
    A* dweight = static_cast<A*>(op.dweight) + number * plan.weights();
    for (int64_t k = 0; k < plan.weights(); ++k) {
      dweight[k] = 0;
    }
    for (int64_t n = task.first_image; n < task.last_image; ++n) {
      const T* from = image_of<T, layout>(op.x, n, channels.first);
      const T* gradient = image_of<T, layout>(op.dy, n, channels.first);
      for (int64_t top = 0; top < shape.height; top += plan.band) {
        const RowRange band{top, smaller(shape.height, top + plan.band)};
        for (int64_t row = band.first; row < band.last; ++row) {
          for (int r = 0; r < shape.stride; ++r) {
            Transfer<T, layout>::load(
                from + (row * shape.width + r) * x_pixel, op.x.row_stride, shape.stride,
                plan.phases[r].width, channels.count, plan.band * shape.width,
                x + (row - top) * x_distance + plan.phases[r].start * kChannelBlock);
          }
        }
        const int last_row = plan.first_row + plan.rows - 1;
        const int64_t origin = rows_of_y(shape, last_row, band).first;
        const int64_t bottom = rows_of_y(shape, plan.first_row, band).last;
        for (int64_t row = origin; row < bottom; ++row) {
          Transfer<T, layout>::load(
              gradient + row * out_width * dy_pixel, op.dy.row_stride, 1, out_width,
              channels.count, plan.band * out_width / shape.stride, dy + (row - origin) * dy_distance + plan.y.left * kChannelBlock);
        }
        for (int r = 0; r < shape.stride; ++r) {
          const DepthwisePhase& phase = plan.phases[r];
          const int64_t column = plan.y.left - phase.offset - phase.taps + 1;
          const int last_tap = phase.first + (phase.taps - 1) * shape.stride;
          for (int i = plan.first_row; i <= last_row && phase.taps > 0; ++i) {
            const RowRange rows = rows_of_y(shape, i, band);
            const int64_t first_x = rows.first * shape.stride + i - shape.padding - top;
            correlate<A>(phase.taps,
                         {x + first_x * x_distance + phase.start * kChannelBlock,
                          shape.stride * x_distance,
                          dy + (rows.first - origin) * dy_distance + column * kChannelBlock,
                          dy_distance, dweight + i * weight_row + last_tap * kChannelBlock,
                          -weight_tap, rows.last - rows.first, phase.width});
          }
        }
        if (op.dx == nullptr) {
          continue;
        }
        T* to = const_cast<T*>(image_of<T, layout>(out, n, channels.first));
        for (int64_t row = band.first; row < band.last; ++row) {
          // Tap row i reads row (below - i) / stride of dy, where that is a whole number.
          const int64_t below = row + shape.padding;
          int64_t first = larger(plan.first_row, below - (shape.out_height() - 1) * shape.stride);
          first += (below - first) % shape.stride;
          const int64_t last = smaller(last_row, below);
          for (int r = 0; r < shape.stride; ++r) {
            const DepthwisePhase& phase = plan.phases[r];
            const int64_t column = plan.y.left - phase.offset - phase.taps + 1;
            const int last_tap = phase.first + (phase.taps - 1) * shape.stride;
            ConvolvedRow<A> line{};
            line.to = dx;
            line.start = zeros;
            line.width = phase.width;
            if (first <= last) {
              line.from = dy + ((below - first) / shape.stride - origin) * dy_distance +
                          column * kChannelBlock;
              line.from_row = -dy_distance;
              line.weight = weight + first * weight_row + last_tap * kChannelBlock;
              line.weight_row = shape.stride * weight_row;
              line.weight_tap = -weight_tap;
              line.rows = (last - first) / shape.stride + 1;
            }
            convolve(phase.taps, line);
            Transfer<T, layout>::store(dx, phase.width, channels.count,
                                       to + (row * shape.width + r) * dx_pixel, out.row_stride,
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
