// Products, normalisation, depthwise convolution and activation of a tile of a few channels: the
// products live in shared memory alone.
#pragma once

#include "cross_hadamard_depthwise_plan.h"
#include "cross_hadamard_device.cuh"

namespace mmhadaptive::cuda {

template <class T>
struct ExpandOp {
  using A = typename AccumulateOf<T>::type;
  DepthwiseShape shape;
  int selected;
  int pairs;
  const int64_t* index;
  const A* alpha;
  const A* norm_weight;
  const A* norm_bias;
  const A* weight;
  const A* bias;
  Activation activation;
  Input<T> x;
  T* y;
  bool interleaved;
};

// What there is to know of a channel of the expansion: a channel of x has no second factor.
template <class A>
struct ExpandedChannel {
  A weight;
  A bias;
  int first;
  int second;
};

template <class A>
struct ExpandShared {
  ExpandedChannel<A>* channels;
  A* taps;    // channels x kernel^2, or the other way around
  A* values;  // channels x in_rows x in_columns, likewise
  size_t bytes;

  __host__ __device__ ExpandShared(unsigned char* memory, const ExpandPlan& plan, int kernel) {
    channels = reinterpret_cast<ExpandedChannel<A>*>(memory);
    const size_t head = sizeof(ExpandedChannel<A>) * plan.channels;
    taps = reinterpret_cast<A*>(memory + head);
    const size_t tap_count = static_cast<size_t>(plan.channels) * kernel * kernel;
    values = taps + tap_count;
    bytes = head + sizeof(A) * (tap_count + static_cast<size_t>(plan.channels) * plan.in_rows *
                                                plan.in_columns);
  }
};

// Neighbouring threads go along what is adjacent in memory.
struct ExpandOrder {
  bool interleaved;
  int channels;

  __device__ __forceinline__ int channel(int at, int pixels) const {
    return interleaved ? at % channels : at / pixels;
  }
  __device__ __forceinline__ int pixel(int at, int pixels) const {
    return interleaved ? at / channels : at % pixels;
  }
  __device__ __forceinline__ int at(int channel, int pixel, int pixels) const {
    return interleaved ? pixel * channels + channel : channel * pixels + pixel;
  }
};

template <class T>
__global__ void __launch_bounds__(kExpandThreads)
    cross_hadamard_depthwise_tiled(ExpandOp<T> op, AnyNorm norm, ExpandPlan plan) {
  using A = typename AccumulateOf<T>::type;
  MMHADAPTIVE_DYNAMIC_SHARED(memory);
  const DepthwiseShape& shape = op.shape;
  const ExpandShared<A> shared(memory, plan, shape.kernel);
  const int64_t out_channels = shape.channels + op.pairs;
  const int64_t out_height = shape.out_height(), out_width = shape.out_width();
  const int64_t first_channel = static_cast<int64_t>(blockIdx.y) * plan.channels;
  const int64_t top = blockIdx.x / plan.tile_columns * plan.rows;
  const int64_t left = blockIdx.x % plan.tile_columns * plan.columns;
  const int taps = shape.kernel * shape.kernel;
  const int in_pixels = plan.in_rows * plan.in_columns;
  const int out_pixels = plan.rows * plan.columns;
  const ExpandOrder order{op.interleaved, plan.channels};
  const A alpha = *op.alpha;

  for (int at = threadIdx.x; at < plan.channels * taps; at += blockDim.x) {
    const int c = at / taps;
    shared.taps[order.at(c, at % taps, taps)] =
        first_channel + c < out_channels ? op.weight[first_channel * taps + at] : A(0);
  }
  for (int64_t n = blockIdx.z; n < shape.batch; n += gridDim.z) {
    const int64_t* index = op.index + n * op.selected;
    // The image before has been finished with.
    __syncthreads();
    for (int c = threadIdx.x; c < plan.channels; c += blockDim.x) {
      const int64_t channel = first_channel + c;
      ExpandedChannel<A> entry{1, 0, -1, -1};
      if (channel < shape.channels) {
        entry.first = static_cast<int>(channel);
      } else if (channel < out_channels) {
        const int p = static_cast<int>(channel - shape.channels);
        const Pair pair = pair_direct(op.selected, p);
        entry.weight = op.norm_weight[p];
        entry.bias = op.norm_bias[p];
        entry.first = static_cast<int>(checked_channel(index, pair.i, shape.channels));
        entry.second = static_cast<int>(checked_channel(index, pair.j, shape.channels));
      }
      shared.channels[c] = entry;
    }
    __syncthreads();
    for (int at = threadIdx.x; at < plan.channels * in_pixels; at += blockDim.x) {
      const ExpandedChannel<A> entry = shared.channels[order.channel(at, in_pixels)];
      const int pixel = order.pixel(at, in_pixels);
      const int64_t row = top * shape.stride - shape.padding + pixel / plan.in_columns;
      const int64_t column = left * shape.stride - shape.padding + pixel % plan.in_columns;
      A value = 0;
      if (entry.first >= 0 && row >= 0 && row < shape.height && column >= 0 &&
          column < shape.width) {
        const int64_t place = row * shape.width + column;
        value = widen(*op.x.at(op.interleaved, n, entry.first, place));
        if (entry.second >= 0) {
          const A other = widen(*op.x.at(op.interleaved, n, entry.second, place));
          value = entry.weight * norm.value(alpha * value * other) + entry.bias;
        }
      }
      shared.values[at] = value;
    }
    __syncthreads();
    for (int at = threadIdx.x; at < plan.channels * out_pixels; at += blockDim.x) {
      const int c = order.channel(at, out_pixels);
      const int pixel = order.pixel(at, out_pixels);
      const int64_t channel = first_channel + c;
      const int tile_row = pixel / plan.columns, tile_column = pixel % plan.columns;
      const int64_t row = top + tile_row, column = left + tile_column;
      if (channel >= out_channels || row >= out_height || column >= out_width) {
        continue;
      }
      A sum = op.bias[channel];
      const int first_pixel =
          tile_row * shape.stride * plan.in_columns + tile_column * shape.stride;
      for (int i = 0; i < shape.kernel; ++i) {
        for (int j = 0; j < shape.kernel; ++j) {
          sum += shared.taps[order.at(c, i * shape.kernel + j, taps)] *
                 shared.values[order.at(c, first_pixel + i * plan.in_columns + j, in_pixels)];
        }
      }
      const int64_t place = row * out_width + column;
      const int64_t pixels = out_height * out_width;
      narrow(activated(op.activation, sum),
             op.y + (op.interleaved ? (n * pixels + place) * out_channels + channel
                                    : (n * out_channels + channel) * pixels + place));
    }
  }
}

}  // namespace mmhadaptive::cuda
