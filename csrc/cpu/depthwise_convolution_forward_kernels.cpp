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
  const int64_t y_distance = plan.y.row * kChannelBlock;
  const int64_t x_pixel = layout == Layout::kInterleaved ? op.x.row_stride : 1;
  const int64_t y_pixel = layout == Layout::kInterleaved ? shape.channels : 1;
  const int64_t ahead = plan.band * shape.stride * shape.width;
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
    Convolved<T> given{};
    given.to_row = width * y_pixel;
    given.to_column = y_pixel;
    given.width = width;
    given.channels = channels.count;
    given.from_row = x_distance;
    given.from_step = x_distance;
    given.weight_row = shape.kernel * kChannelBlock;
    given.weight_step = given.weight_row;
    given.weight_tap = shape.stride * kChannelBlock;
    for (int64_t n = task.first_image; n < task.last_image; ++n) {
      const T* from = image_of<T, layout>(op.x, n, channels.first);
      T* to = const_cast<T*>(image_of<T, layout>(out, n, channels.first));
      const RowRange* in = plan.band_rows;
      for (int64_t top = 0; top < shape.out_height(); top += plan.band, ++in) {
        for (int64_t row = in->first; row < in->last; ++row) {
          for (int r = 0; r < shape.stride; ++r) {
            Transfer<T, layout>::load(
                from + (row * shape.width + r) * x_pixel, op.x.row_stride, shape.stride,
                plan.phases[r].width, channels.count, ahead,
                x + (row - in->first) * x_distance + plan.phases[r].start * kChannelBlock);
          }
        }
        given.to = to + top * width * y_pixel;
        given.rows = smaller(plan.band, shape.out_height() - top);
        given.taps = plan.row_taps + top;
        given.start = bias;
        given.start_row = 0;
        given.start_column = 0;
        for (int r = 0; r < shape.stride; ++r) {
          const DepthwisePhase& phase = plan.phases[r];
          given.from = x + (phase.start + phase.offset) * kChannelBlock - in->first * x_distance;
          given.weight = weight + phase.first * kChannelBlock;
          if (layout == Layout::kInterleaved && r == shape.stride - 1) {
            convolve(phase.taps, given);
          } else {
            convolve(phase.taps, into_scratch(given, y, y_distance));
          }
          given.start = y;
          given.start_row = y_distance;
          given.start_column = kChannelBlock;
        }
        if (layout == Layout::kPlanar) {
          for (int64_t row = 0; row < given.rows; ++row) {
            Transfer<T, layout>::store(y + row * y_distance, width, channels.count,
                                       given.to + row * width, out.row_stride, 1);
          }
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
