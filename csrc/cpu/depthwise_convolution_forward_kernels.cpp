// setup.py compiles this file once per instruction set, and MMHADAPTIVE_INSTRUCTION_SET names the
// namespace of the copy.
#include "depthwise_convolution_parts.h"

namespace mmhadaptive::cpu {
namespace {

// Rows of y, of `width` columns, and those of x that one row of the kernel leads them to; distances
// between rows in values.
template <class A>
struct ForwardRows {
  const A* x;
  A* y;
  const A* weight;
  int64_t x_distance;
  int64_t y_distance;
  int64_t weight_distance;
  int64_t rows;
  int64_t width;
};

// Two pixels of y side by side share the loads of x.
template <class A, int taps>
void convolve(const ForwardRows<A>& given) {
  using Math = VectorMath<A>;
  using V = typename Math::V;
  for (int lane = 0; lane < kChannelBlock; lane += Math::lanes) {
    V weight[taps];
    for (int t = 0; t < taps; ++t) {
      weight[t] = Math::load(given.weight + t * given.weight_distance + lane);
    }
    for (int64_t row = 0; row < given.rows; ++row) {
      const A* x = given.x + row * given.x_distance + lane;
      A* y = given.y + row * given.y_distance + lane;
      for (int64_t column = 0; column < given.width; column += 2) {
        V first = Math::load(y);
        V second = Math::load(y + kChannelBlock);
        V v = Math::load(x);
#pragma GCC unroll 8
        for (int t = 0; t < taps; ++t) {
          first += weight[t] * v;
          v = Math::load(x + (t + 1) * kChannelBlock);
          second += weight[t] * v;
        }
        Math::store(y, first);
        Math::store(y + kChannelBlock, second);
        x += 2 * kChannelBlock;
        y += 2 * kChannelBlock;
      }
    }
  }
}

template <class A>
void convolve(int taps, const ForwardRows<A>& rows) {
  static constexpr void (*kByTaps[])(const ForwardRows<A>&) = {
      convolve<A, 1>, convolve<A, 2>, convolve<A, 3>, convolve<A, 4>,
      convolve<A, 5>, convolve<A, 6>, convolve<A, 7>};
  kByTaps[taps - 1](rows);
}

template <class T, Layout layout>
void forward_tasks(const DepthwiseForward& op, void* scratch, int64_t begin, int64_t end) {
  using A = typename AccumulateOf<T>::type;
  const DepthwisePlan& plan = op.plan;
  const DepthwiseShape& shape = plan.shape;
  const int64_t width = shape.out_width();
  const AnyInput out = dense(op.y, layout, shape.channels, shape.out_height() * width);
  const int64_t x_distance = plan.x.row * kChannelBlock;
  const int64_t y_distance = plan.y.row * kChannelBlock;
  const int64_t x_pixel = layout == Layout::kInterleaved ? op.x.row_stride : 1;
  const int64_t y_pixel = layout == Layout::kInterleaved ? shape.channels : 1;
  A* weight = static_cast<A*>(scratch);
  A* x = weight + plan.weights();
  A* y = x + plan.x.size();

  for (int64_t number = begin; number < end; ++number) {
    const DepthwiseTask task = task_of(plan, number);
    const ChannelBlock channels = task.channels;
    load_weights(plan, op.weight, channels, weight);
    A bias[kChannelBlock] = {};
    if (op.bias != nullptr) {
      copy(bias, static_cast<const A*>(op.bias) + channels.first, channels.count);
    }
    for (int64_t n = task.first_image; n < task.last_image; ++n) {
      const T* from = image_of<T, layout>(op.x, n, channels.first);
      T* to = const_cast<T*>(image_of<T, layout>(out, n, channels.first));
      for (int64_t top = 0; top < shape.out_height(); top += plan.band) {
        const RowRange band{top, smaller(shape.out_height(), top + plan.band)};
        // The row of x that the first row of scratch stands for.
        const int64_t origin = top * shape.stride + plan.first_row - shape.padding;
        const int64_t bottom = smaller(shape.height, origin + plan.x.rows);
        for (int64_t row = larger(0, origin); row < bottom; ++row) {
          for (int r = 0; r < shape.stride; ++r) {
            Transfer<T, layout>::load(
                from + (row * shape.width + r) * x_pixel, op.x.row_stride, shape.stride,
                plan.phases[r].width, channels.count,
                x + (row - origin) * x_distance + plan.phases[r].start * kChannelBlock);
          }
        }
        for (int64_t pixel = 0; pixel < (band.last - top) * plan.y.row; ++pixel) {
          copy(y + pixel * kChannelBlock, bias, kChannelBlock);
        }
        for (int i = plan.first_row; i < plan.first_row + plan.rows; ++i) {
          RowRange rows = rows_of_y(shape, i, {0, shape.height});
          rows = {larger(rows.first, band.first), smaller(rows.last, band.last)};
          if (rows.first >= rows.last) {
            continue;
          }
          const int64_t first_x = rows.first * shape.stride + i - shape.padding - origin;
          for (int r = 0; r < shape.stride; ++r) {
            const DepthwisePhase& phase = plan.phases[r];
            if (phase.taps > 0) {
              convolve<A>(phase.taps,
                          {x + first_x * x_distance + (phase.start + phase.offset) * kChannelBlock,
                           y + (rows.first - top) * y_distance,
                           weight + (i * shape.kernel + phase.first) * kChannelBlock,
                           shape.stride * x_distance, y_distance, shape.stride * kChannelBlock,
                           rows.last - rows.first, width});
            }
          }
        }
        for (int64_t row = band.first; row < band.last; ++row) {
          Transfer<T, layout>::store(y + (row - top) * y_distance, width, channels.count,
                                     to + row * width * y_pixel, out.row_stride, 1);
        }
      }
    }
  }
}

}  // namespace

DepthwiseForwardKernel MMHADAPTIVE_INSTRUCTION_SET::depthwise_forward_kernel(Element element,
                                                                             Layout layout) {
  return with_element(element, layout, [](auto zero, auto constant) -> DepthwiseForwardKernel {
    return forward_tasks<decltype(zero), decltype(constant)::value>;
  });
}

}  // namespace mmhadaptive::cpu
