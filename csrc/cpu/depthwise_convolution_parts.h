// What the forward and the backward kernels share. As in vector_math.h, each instruction set has
// its own copies.
#pragma once

#include "depthwise_convolution_kernels.h"
#include "vector_loops.h"

namespace mmhadaptive::cpu {
namespace {

MMHADAPTIVE_INLINE int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}
// Rounded up and down, for any a.
MMHADAPTIVE_INLINE int64_t ceil_divide(int64_t a, int64_t b) {
  return a > 0 ? (a + b - 1) / b : -(-a / b);
}
MMHADAPTIVE_INLINE int64_t floor_divide(int64_t a, int64_t b) {
  return -ceil_divide(-a, b);
}

// Rows [first, last) of a map.
struct RowRange {
  int64_t first;
  int64_t last;
};

// The rows of y that tap row i leads to from rows `of` of x, and the other way around.
MMHADAPTIVE_INLINE RowRange rows_of_y(const DepthwiseShape& shape, int i, RowRange of) {
  const int64_t by = shape.padding - i;
  return {larger(0, ceil_divide(of.first + by, shape.stride)),
          smaller(shape.out_height(), floor_divide(of.last - 1 + by, shape.stride) + 1)};
}

// The channels of a task.
struct ChannelBlock {
  int64_t first;
  int count;
};

struct DepthwiseTask {
  ChannelBlock channels;
  int64_t first_image;
  int64_t last_image;
};

MMHADAPTIVE_INLINE DepthwiseTask task_of(const DepthwisePlan& plan, int64_t task) {
  const int64_t channel = task % plan.blocks() * kChannelBlock;
  const int64_t image = task / plan.blocks() * plan.images;
  return {{channel, static_cast<int>(smaller(kChannelBlock, plan.shape.channels - channel))},
          image,
          smaller(plan.shape.batch, image + plan.images)};
}

// weights[tap][lane], zero in the lanes of no channel.
template <class A>
void load_weights(const DepthwisePlan& plan, const void* weight, ChannelBlock channels, A* to) {
  const int taps = plan.shape.kernel * plan.shape.kernel;
  const int first = plan.first_row * plan.shape.kernel;
  const int last = first + plan.rows * plan.shape.kernel;
  const A* from = static_cast<const A*>(weight) + channels.first * taps;
  for (int lane = 0; lane < channels.count; ++lane) {
    for (int tap = first; tap < last; ++tap) {
      to[tap * kChannelBlock + lane] = from[lane * taps + tap];
    }
  }
  for (int lane = channels.count; lane < kChannelBlock; ++lane) {
    for (int tap = first; tap < last; ++tap) {
      to[tap * kChannelBlock + lane] = 0;
    }
  }
}

// Between a map in memory, or rows of it, and rows of scratch.
template <class T, Layout layout>
struct Transfer {
  using A = typename AccumulateOf<T>::type;
  using Math = VectorMath<A>;

  // `width` pixels, each `step` after the other in memory. Lanes beyond the channels are zero.
  // Interleaved pixels that are `ahead` of these are fetched.
  static MMHADAPTIVE_INLINE void load(const T* from, int64_t row_stride, int64_t step,
                                      int64_t width, int channels, int64_t ahead, A* to) {
    if (layout == Layout::kInterleaved) {
      for (int64_t pixel = 0; pixel < width; ++pixel) {
        const T* p = from + pixel * step * row_stride;
        prefetch(p + ahead * row_stride);
        A* q = to + pixel * kChannelBlock;
        for (int lane = 0; lane < kChannelBlock; lane += Math::lanes) {
          Math::store(q + lane, channels == kChannelBlock
                                    ? Math::load(p + lane)
                                    : Math::load(p + lane, part(channels - lane)));
        }
      }
      return;
    }
    for (int lane = 0; lane < channels; ++lane) {
      const T* p = from + lane * row_stride;
      for (int64_t pixel = 0; pixel < width; ++pixel) {
        to[pixel * kChannelBlock + lane] = widen(p[pixel * step]);
      }
    }
    for (int lane = channels; lane < kChannelBlock; ++lane) {
      for (int64_t pixel = 0; pixel < width; ++pixel) {
        to[pixel * kChannelBlock + lane] = 0;
      }
    }
  }

  static MMHADAPTIVE_INLINE void store(const A* from, int64_t width, int channels, T* to,
                                       int64_t row_stride, int64_t step) {
    if (layout == Layout::kInterleaved) {
      for (int64_t pixel = 0; pixel < width; ++pixel) {
        T* p = to + pixel * step * row_stride;
        const A* q = from + pixel * kChannelBlock;
        for (int lane = 0; lane < kChannelBlock; lane += Math::lanes) {
          const auto v = Math::load(q + lane);
          if (channels == kChannelBlock) {
            Math::store(p + lane, v);
          } else {
            Math::store(p + lane, v, part(channels - lane));
          }
        }
      }
      return;
    }
    for (int lane = 0; lane < channels; ++lane) {
      T* p = to + lane * row_stride;
      for (int64_t pixel = 0; pixel < width; ++pixel) {
        narrow(from[pixel * kChannelBlock + lane], p + pixel * step);
      }
    }
  }

 private:
  static MMHADAPTIVE_INLINE int part(int left) {
    return left < 0 ? 0 : left < Math::lanes ? left : Math::lanes;
  }
};

// Where the channels of a task begin in an image.
template <class T, Layout layout>
MMHADAPTIVE_INLINE const T* image_of(const AnyInput& input, int64_t n, int64_t channel) {
  const int64_t step = layout == Layout::kInterleaved ? 1 : input.row_stride;
  return static_cast<const T*>(input.data) + n * input.batch_stride + channel * step;
}

// A dense map as an input is given.
MMHADAPTIVE_INLINE AnyInput dense(void* data, Layout layout, int64_t channels, int64_t pixels) {
  return {data, channels * pixels, layout == Layout::kInterleaved ? channels : pixels};
}

// A row of a map that is convolved, as sums over rows of another one and of the kernel. All distances
// are in values; those of neighbouring columns are kChannelBlock.
template <class A>
struct ConvolvedRow {
  A* to;
  const A* start;  // what the sums start with
  int64_t start_column;
  const A* from;
  int64_t from_row;
  const A* weight;
  int64_t weight_row;
  int64_t weight_tap;
  int64_t rows;   // of `from` and the kernel
  int64_t width;  // of `to`, which is written up to the next even number of columns
};

// Neighbouring columns share the loads of `from`, and their sums stay in registers.
template <class A, int taps, int columns>
MMHADAPTIVE_INLINE void convolve_columns(const ConvolvedRow<A>& row, int64_t column, int lane) {
  using Math = VectorMath<A>;
  using V = typename Math::V;
  V sums[columns];
  const A* start = row.start + column * row.start_column + lane;
#pragma GCC unroll 8
  for (int c = 0; c < columns; ++c) {
    sums[c] = Math::load(start + c * row.start_column);
  }
  const A* from = row.from + column * kChannelBlock + lane;
  const A* weight = row.weight + lane;
  for (int64_t i = 0; i < row.rows; ++i) {
    V w[taps > 0 ? taps : 1];
#pragma GCC unroll 8
    for (int t = 0; t < taps; ++t) {
      w[t] = Math::load(weight + t * row.weight_tap);
    }
#pragma GCC unroll 16
    for (int at = 0; at < columns + taps - 1; ++at) {
      const V v = Math::load(from + at * kChannelBlock);
#pragma GCC unroll 8
      for (int t = 0; t < taps; ++t) {
        if (at - t >= 0 && at - t < columns) {
          sums[at - t] += w[t] * v;
        }
      }
    }
    from += row.from_row;
    weight += row.weight_row;
  }
  A* to = row.to + column * kChannelBlock + lane;
#pragma GCC unroll 8
  for (int c = 0; c < columns; ++c) {
    Math::store(to + c * kChannelBlock, sums[c]);
  }
}

template <class A, int taps>
void convolve(const ConvolvedRow<A>& row) {
  for (int lane = 0; lane < kChannelBlock; lane += VectorMath<A>::lanes) {
    int64_t column = 0;
    for (; column + 6 < row.width; column += 8) {
      convolve_columns<A, taps, 8>(row, column, lane);
    }
    for (; column + 2 < row.width; column += 4) {
      convolve_columns<A, taps, 4>(row, column, lane);
    }
    for (; column < row.width; column += 2) {
      convolve_columns<A, taps, 2>(row, column, lane);
    }
  }
}

template <class A>
void convolve(int taps, const ConvolvedRow<A>& row) {
  static constexpr void (*kByTaps[])(const ConvolvedRow<A>&) = {
      convolve<A, 0>, convolve<A, 1>, convolve<A, 2>, convolve<A, 3>,
      convolve<A, 4>, convolve<A, 5>, convolve<A, 6>, convolve<A, 7>};
  kByTaps[taps](row);
}

// Calls body(T{}, Constant<layout>{}) for the element.
template <class T, class Body>
auto with_layout(Layout layout, const Body& body) {
  return layout == Layout::kPlanar ? body(T{}, Constant<Layout::kPlanar>{})
                                   : body(T{}, Constant<Layout::kInterleaved>{});
}

template <class Body>
auto with_element(Element element, Layout layout, const Body& body) {
  switch (element) {
    case Element::kDouble:
      return with_layout<double>(layout, body);
    case Element::kBFloat16:
      return with_layout<BFloat16>(layout, body);
    case Element::kHalf:
      return with_layout<Half>(layout, body);
    default:
      return with_layout<float>(layout, body);
  }
}

}  // namespace
}  // namespace mmhadaptive::cpu
