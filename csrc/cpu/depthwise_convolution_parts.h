// What the forward and the backward kernels share. As in vector_math.h, each instruction set has
// its own copies.
#pragma once

#include "../core/activation.h"
#include "depthwise_convolution_kernels.h"
#include "vector_loops.h"

namespace mmhadaptive::cpu {
namespace {

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

// weights[tap][lane], zero in the lanes of no channel, of the taps that meet the map.
template <class A>
void load_weights(const DepthwisePlan& plan, const void* weight, ChannelBlock channels, A* to) {
  const int kernel = plan.shape.kernel;
  const A* from = static_cast<const A*>(weight) + channels.first * kernel * kernel;
  for (int i = plan.first_row; i < plan.first_row + plan.rows; ++i) {
    for (int j = plan.first_column; j < plan.first_column + plan.columns; ++j) {
      const int tap = i * kernel + j;
      A* lanes = to + tap * kChannelBlock;
      for (int lane = 0; lane < channels.count; ++lane) {
        lanes[lane] = from[lane * kernel * kernel + tap];
      }
      for (int lane = channels.count; lane < kChannelBlock; ++lane) {
        lanes[lane] = 0;
      }
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

  // Planar alone: interleaved pixels are written as they come about.
  static MMHADAPTIVE_INLINE void store(const A* from, int64_t width, int channels, T* to,
                                       int64_t row_stride, int64_t step) {
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

// Rows of a map as sums over rows of another one and of the kernel; T is what they are written in.
// All distances are in values; columns of scratch are kChannelBlock apart.
template <class T>
struct Convolved {
  using A = typename AccumulateOf<T>::type;
  T* to;
  int64_t to_row;
  int64_t to_column;
  int64_t rows;
  int64_t width;
  int channels;
  const RowTaps* taps;
  const A* start;  // what the sums start with
  int64_t start_row;
  int64_t start_column;
  const A* from;  // row 0
  int64_t from_row;
  int64_t from_step;
  const A* weight;  // row 0 of the kernel
  int64_t weight_row;
  int64_t weight_step;
  int64_t weight_tap;
  Activation activation;  // of the sums
};

// One row of these, at a vector of the channels.
template <class A>
struct ConvolvedRow {
  const A* start;
  int64_t start_column;
  const A* from;
  int64_t from_step;
  const A* weight;
  int64_t weight_step;
  int64_t weight_tap;
  int count;
  Activation activation;
};

// Neighbouring columns share the loads of `from`, and their sums stay in registers.
template <class A, int taps, int columns>
MMHADAPTIVE_INLINE void convolve_columns(const ConvolvedRow<A>& row, int64_t column,
                                         typename VectorMath<A>::V (&sums)[columns]) {
  using Math = VectorMath<A>;
  using V = typename Math::V;
  const A* start = row.start + column * row.start_column;
#pragma GCC unroll 8
  for (int c = 0; c < columns; ++c) {
    sums[c] = Math::load(start + c * row.start_column);
  }
  const A* from = row.from + column * kChannelBlock;
  const A* weight = row.weight;
  for (int i = 0; i < row.count; ++i) {
    V w[taps > 0 ? taps : 1];
#pragma GCC unroll 8
    for (int t = 0; t < taps; ++t) {
      w[t] = Math::load(weight + t * row.weight_tap);
    }
#pragma GCC unroll 16
    for (int at = 0; at < columns + taps - 1; ++at) {
      const V v = in_register(Math::load(from + at * kChannelBlock));
#pragma GCC unroll 8
      for (int t = 0; t < taps; ++t) {
        if (at - t >= 0 && at - t < columns) {
          sums[at - t] += w[t] * v;
        }
      }
    }
    from += row.from_step;
    weight += row.weight_step;
  }
}

template <class T, int taps, int columns>
MMHADAPTIVE_INLINE void write_columns(
    const ConvolvedRow<typename AccumulateOf<T>::type>& row, int64_t column, int64_t width,
    T* to, int64_t to_column, int part) {
  using A = typename AccumulateOf<T>::type;
  using Math = VectorMath<A>;
  typename Math::V sums[columns];
  convolve_columns<A, taps, columns>(row, column, sums);
  if (row.activation != Activation::kNone) {
#pragma GCC unroll 8
    for (int c = 0; c < columns; ++c) {
      sums[c] = activated(row.activation, sums[c]);
    }
  }
  to += column * to_column;
  if (part >= Math::lanes) {
#pragma GCC unroll 8
    for (int c = 0; c < columns - 1; ++c) {
      Math::store(to + c * to_column, sums[c]);
    }
    // The last sum may be of a column beyond the last one.
    if (column + columns <= width) {
      Math::store(to + (columns - 1) * to_column, sums[columns - 1]);
    }
  } else {
#pragma GCC unroll 8
    for (int c = 0; c < columns; ++c) {
      if (column + c < width) {
        Math::store(to + c * to_column, sums[c], part);
      }
    }
  }
}

template <class T, int taps>
void convolve(const Convolved<T>& given) {
  using A = typename AccumulateOf<T>::type;
  for (int lane = 0; lane < given.channels; lane += VectorMath<A>::lanes) {
    const int part = given.channels - lane;
    for (int64_t y = 0; y < given.rows; ++y) {
      const RowTaps& rows = given.taps[y];
      const ConvolvedRow<A> row{given.start + y * given.start_row + lane,
                                given.start_column,
                                given.from + rows.from * given.from_row + lane,
                                given.from_step,
                                given.weight + rows.first * given.weight_row + lane,
                                given.weight_step,
                                given.weight_tap,
                                rows.count,
                                given.activation};
      T* to = given.to + y * given.to_row + lane;
      const int64_t width = given.width;
      int64_t column = 0;
      for (; column + 6 < width; column += 8) {
        write_columns<T, taps, 8>(row, column, width, to, given.to_column, part);
      }
      for (; column + 2 < width; column += 4) {
        write_columns<T, taps, 4>(row, column, width, to, given.to_column, part);
      }
      for (; column < width; column += 2) {
        write_columns<T, taps, 2>(row, column, width, to, given.to_column, part);
      }
    }
  }
}

template <class T>
void convolve(int taps, const Convolved<T>& given) {
  static constexpr void (*kByTaps[])(const Convolved<T>&) = {
      convolve<T, 0>, convolve<T, 1>, convolve<T, 2>, convolve<T, 3>,
      convolve<T, 4>, convolve<T, 5>, convolve<T, 6>, convolve<T, 7>};
  kByTaps[taps](given);
}

// The same with the sums left in scratch, to be gone on with or to be transferred.
template <class T>
MMHADAPTIVE_INLINE auto into_scratch(const Convolved<T>& given,
                                     typename AccumulateOf<T>::type* scratch, int64_t row) {
  using A = typename AccumulateOf<T>::type;
  return Convolved<A>{scratch,
                      row,
                      kChannelBlock,
                      given.rows,
                      given.width,
                      kChannelBlock,
                      given.taps,
                      given.start,
                      given.start_row,
                      given.start_column,
                      given.from,
                      given.from_row,
                      given.from_step,
                      given.weight,
                      given.weight_row,
                      given.weight_step,
                      given.weight_tap,
                      given.activation};
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
    default:
      return with_layout<float>(layout, body);
  }
}

}  // namespace
}  // namespace mmhadaptive::cpu
