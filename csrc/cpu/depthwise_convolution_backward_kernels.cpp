// setup.py compiles this file once per instruction set, and MMHADAPTIVE_INSTRUCTION_SET names the
// namespace of the copy.
#include "depthwise_convolution_parts.h"

namespace mmhadaptive::cpu {
namespace {

// Rows of x, of `width` columns, and those of dy that one row of the kernel leads them to;
// distances between rows in values. The taps go backwards: the first of them is the one that the
// first column of dy belongs to.
template <class A>
struct BackwardRows {
  const A* x;
  A* dx;
  const A* dy;
  const A* weight;
  A* dweight;
  int64_t x_distance;
  int64_t dy_distance;
  int64_t weight_distance;
  int64_t rows;
  int64_t width;
};

// Every dy that is loaded is multiplied by a weight for dx and by x for dweight. Two pixels of x
// side by side share the loads of dy.
template <class A, int taps>
void propagate(const BackwardRows<A>& given) {
  using Math = VectorMath<A>;
  using V = typename Math::V;
  for (int lane = 0; lane < kChannelBlock; lane += Math::lanes) {
    V weight[taps];
    V dweight[taps] = {};
    for (int t = 0; t < taps; ++t) {
      weight[t] = Math::load(given.weight + t * given.weight_distance + lane);
    }
    for (int64_t row = 0; row < given.rows; ++row) {
      const A* x = given.x + row * given.x_distance + lane;
      A* dx = given.dx + row * given.x_distance + lane;
      const A* dy = given.dy + row * given.dy_distance + lane;
      for (int64_t column = 0; column < given.width; column += 2) {
        const V x0 = Math::load(x);
        const V x1 = Math::load(x + kChannelBlock);
        V dx0 = Math::load(dx);
        V dx1 = Math::load(dx + kChannelBlock);
        V g = Math::load(dy);
#pragma GCC unroll 8
        for (int t = 0; t < taps; ++t) {
          dx0 += weight[t] * g;
          dweight[t] += x0 * g;
          g = Math::load(dy + (t + 1) * kChannelBlock);
          dx1 += weight[t] * g;
          dweight[t] += x1 * g;
        }
        Math::store(dx, dx0);
        Math::store(dx + kChannelBlock, dx1);
        x += 2 * kChannelBlock;
        dx += 2 * kChannelBlock;
        dy += 2 * kChannelBlock;
      }
    }
    for (int t = 0; t < taps; ++t) {
      A* sum = given.dweight + t * given.weight_distance + lane;
      Math::store(sum, Math::load(sum) + dweight[t]);
    }
  }
}

template <class A>
void propagate(int taps, const BackwardRows<A>& rows) {
  static constexpr void (*kByTaps[])(const BackwardRows<A>&) = {
      propagate<A, 1>, propagate<A, 2>, propagate<A, 3>, propagate<A, 4>,
      propagate<A, 5>, propagate<A, 6>, propagate<A, 7>};
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
  A* weight = static_cast<A*>(scratch);
  A* x = weight + plan.weights();
  A* dx = x + plan.x.size();
  A* dy = dx + plan.x.size();

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
                plan.phases[r].width, channels.count,
                x + (row - top) * x_distance + plan.phases[r].start * kChannelBlock);
          }
        }
        const int last_row = plan.first_row + plan.rows - 1;
        const int64_t origin = rows_of_y(shape, last_row, band).first;
        const int64_t bottom = rows_of_y(shape, plan.first_row, band).last;
        for (int64_t row = origin; row < bottom; ++row) {
          Transfer<T, layout>::load(
              gradient + row * out_width * dy_pixel, op.dy.row_stride, 1, out_width,
              channels.count, dy + (row - origin) * dy_distance + plan.y.left * kChannelBlock);
        }
        for (int64_t k = 0; k < (band.last - top) * x_distance; ++k) {
          dx[k] = 0;
        }
        for (int i = plan.first_row; i <= last_row; ++i) {
          const RowRange rows = rows_of_y(shape, i, band);
          if (rows.first >= rows.last) {
            continue;
          }
          const int64_t first_x = rows.first * shape.stride + i - shape.padding - top;
          for (int r = 0; r < shape.stride; ++r) {
            const DepthwisePhase& phase = plan.phases[r];
            if (phase.taps == 0 || phase.width == 0) {
              continue;
            }
            const int64_t at = first_x * x_distance + phase.start * kChannelBlock;
            const int64_t column = plan.y.left - phase.offset - phase.taps + 1;
            const int last_tap = phase.first + (phase.taps - 1) * shape.stride;
            const int64_t tap = (i * shape.kernel + last_tap) * kChannelBlock;
            propagate<A>(phase.taps,
                         {x + at, dx + at,
                          dy + (rows.first - origin) * dy_distance + column * kChannelBlock,
                          weight + tap, dweight + tap, shape.stride * x_distance, dy_distance,
                          -shape.stride * kChannelBlock, rows.last - rows.first, phase.width});
          }
        }
        if (op.dx == nullptr) {
          continue;
        }
        T* to = const_cast<T*>(image_of<T, layout>(out, n, channels.first));
        for (int64_t row = band.first; row < band.last; ++row) {
          for (int r = 0; r < shape.stride; ++r) {
            Transfer<T, layout>::store(
                dx + (row - top) * x_distance + plan.phases[r].start * kChannelBlock,
                plan.phases[r].width, channels.count,
                to + (row * shape.width + r) * dx_pixel, out.row_stride, shape.stride);
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
