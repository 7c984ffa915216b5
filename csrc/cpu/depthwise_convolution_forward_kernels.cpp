// setup.py compiles this file once per instruction set, and MMHADAPTIVE_INSTRUCTION_SET names the
// namespace of the copy.
#include "depthwise_convolution_parts.h"

namespace mmhadaptive::cpu {
namespace {

template <class T, Layout layout>
void forward_tasks(const DepthwiseForward& op, void* scratch, int64_t begin, int64_t end) {
  using A = typename AccumulateOf<T>::type;
  const DepthwisePlan& plan = op.plan;
  const DepthwiseShape& shape = plan.shape;
  const int64_t width = shape.out_width();
  const AnyInput out = dense(op.y, layout, shape.channels, shape.out_height() * width);
  const int64_t x_distance = plan.x.row * kChannelBlock;
  const int64_t x_pixel = layout == Layout::kInterleaved ? op.x.row_stride : 1;
  const int64_t y_pixel = layout == Layout::kInterleaved ? shape.channels : 1;
  A* weight = static_cast<A*>(scratch);
  A* x = weight + plan.weights();
  A* y = x + plan.x.size();

  for (int64_t number = begin; number < end; ++number) {
    const DepthwiseTask task = task_of(plan, number);
    const ChannelBlock channels = task.channels;
    load_weights(plan, op.weight, channels, weight);
    alignas(64) A bias[kChannelBlock] = {};
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
                plan.phases[r].width, channels.count, plan.band * shape.stride * shape.width,
                x + (row - origin) * x_distance + plan.phases[r].start * kChannelBlock);
          }
        }
        for (int64_t row = band.first; row < band.last; ++row) {
          // Tap row i reads row `above` + i of x.
          const int64_t above = row * shape.stride - shape.padding;
          const int64_t first = larger(plan.first_row, -above);
          const int64_t last = smaller(plan.first_row + plan.rows, shape.height - above);
          ConvolvedRow<A> line{};
          line.to = y;
          line.start = bias;
          line.from_row = x_distance;
          line.weight_row = shape.kernel * kChannelBlock;
          line.weight_tap = shape.stride * kChannelBlock;
          line.rows = last - first;
          line.width = width;
          for (int r = 0; r < shape.stride; ++r) {
            const DepthwisePhase& phase = plan.phases[r];
            if (phase.taps > 0) {
              line.from = x + (above + first - origin) * x_distance +
                          (phase.start + phase.offset) * kChannelBlock;
              line.weight = weight + (first * shape.kernel + phase.first) * kChannelBlock;
              convolve(phase.taps, line);
              line.start = y;
              line.start_column = kChannelBlock;
            }
          }
          Transfer<T, layout>::store(y, width, channels.count, to + row * width * y_pixel,
                                     out.row_stride, 1);
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
