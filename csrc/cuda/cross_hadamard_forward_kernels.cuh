// The ways from threads to products. All write y of shape (N, C + P, H, W), dense in the
// layout of x.
#pragma once

#include "cross_hadamard_device.cuh"

namespace mmhadaptive::cuda {

template <class T>
struct Forward {
  using A = typename AccumulateOf<T>::type;
  Shape shape;
  Parameters<A> parameters;
  Input<T> x;
  T* y;

  __device__ __forceinline__ T* out(bool interleaved, int64_t n, int64_t channel,
                                    int64_t pixel) const {
    const int64_t out_channels = shape.channels + shape.pairs;
    return y + (interleaved ? (n * shape.pixels + pixel) * out_channels + channel
                            : (n * out_channels + channel) * shape.pixels + pixel);
  }
};

// What there is to know of a product; the blocks of the tiled kernels keep it in shared memory.
template <class A>
struct PairEntry {
  A weight;
  A bias;
  short i;
  short j;
};

template <class NormOf, class A>
__device__ __forceinline__ A product(NormOf norm, A alpha, const PairEntry<A>& entry, A zi, A zj) {
  return entry.weight * norm.value(alpha * zi * zj) + entry.bias;
}

template <class T>
__device__ __forceinline__ PairEntry<typename AccumulateOf<T>::type> pair_entry(
    const Forward<T>& op, bool has_parameters, Pair pair, int p) {
  using A = typename AccumulateOf<T>::type;
  PairEntry<A> entry{1, 0, static_cast<short>(pair.i), static_cast<short>(pair.j)};
  if (has_parameters) {
    entry.weight = op.parameters.weight[p];
    entry.bias = op.parameters.bias[p];
  }
  return entry;
}

// A product of image n whose factors are read from memory.
template <class T>
struct Product {
  using A = typename AccumulateOf<T>::type;
  const T* xi;
  const T* xj;
  T* y;
  int64_t x_step;  // between pixels
  int64_t y_step;
  A gate_i;
  A gate_j;
  A alpha;
  PairEntry<A> entry;
  AnyNorm norm;

  __device__ __forceinline__ Product(const Forward<T>& op, bool interleaved, AnyNorm norm,
                                     int64_t n, Pair pair, int p)
      : norm(norm) {
    const Shape& shape = op.shape;
    const int64_t* index = op.parameters.index + n * shape.selected;
    const A* gate = op.parameters.gate + n * shape.selected;
    xi = op.x.at(interleaved, n, checked_channel(index, pair.i, shape.channels), 0);
    xj = op.x.at(interleaved, n, checked_channel(index, pair.j, shape.channels), 0);
    y = op.out(interleaved, n, shape.channels + p, 0);
    x_step = interleaved ? op.x.row_stride : 1;
    y_step = interleaved ? shape.channels + shape.pairs : 1;
    gate_i = gate[pair.i];
    gate_j = gate[pair.j];
    alpha = op.parameters.alpha_or_one();
    entry = pair_entry(op, norm.has_parameters(), pair, p);
  }

  __device__ __forceinline__ void write(int64_t pixel) const {
    const A zi = gate_i * widen(xi[pixel * x_step]);
    const A zj = gate_j * widen(xj[pixel * x_step]);
    narrow(product(norm, alpha, entry, zi, zj), y + pixel * y_step);
  }
};

// `elementwise`: one thread an output element, which finds its pair of channels by itself.
// Neighbouring threads write neighbouring addresses: threadIdx.x runs over the pixels of a planar
// output and over the channels of an interleaved one, threadIdx.y over the other.
template <class T>
__global__ void forward_elementwise(Forward<T> op, bool interleaved, AnyNorm norm) {
  const Shape& shape = op.shape;
  const int k = shape.selected;
  const int64_t out_channels = shape.channels + shape.pairs;
  const int64_t fast_size = interleaved ? out_channels : shape.pixels;
  const int64_t slow_size = interleaved ? shape.pixels : out_channels;
  const int64_t fast_step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  const int64_t slow_step = static_cast<int64_t>(gridDim.y) * blockDim.y;
  const int64_t first_fast = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t first_slow = static_cast<int64_t>(blockIdx.y) * blockDim.y + threadIdx.y;

  for (int64_t n = blockIdx.z; n < shape.batch; n += gridDim.z) {
    for (int64_t slow = first_slow; slow < slow_size; slow += slow_step) {
      for (int64_t fast = first_fast; fast < fast_size; fast += fast_step) {
        const int64_t channel = interleaved ? fast : slow;
        const int64_t pixel = interleaved ? slow : fast;
        if (channel >= shape.channels) {
          const int p = static_cast<int>(channel - shape.channels);
          Product<T>(op, interleaved, norm, n, pair_direct(k, p), p).write(pixel);
          continue;
        }
        *op.out(interleaved, n, channel, pixel) = *op.x.at(interleaved, n, channel, pixel);
        if (channel < k && pixel == 0) {
          check_distinct(op.parameters.index + n * k, static_cast<int>(channel));
        }
      }
    }
  }
}

template <class T>
__device__ __forceinline__ void write_product(const Forward<T>& op, bool interleaved, AnyNorm norm,
                                              int64_t n, Pair pair) {
  const int p = pair_position(op.shape.selected, pair);
  const Product<T> product(op, interleaved, norm, n, pair, p);
  for (int64_t pixel = threadIdx.x; pixel < op.shape.pixels; pixel += blockDim.x) {
    product.write(pixel);
  }
}

// `direct` and `parity`, those of the paper's section 4.2: blockIdx is (block, image), and the
// threads of a block share the pixels of a product. `direct` has a block for each product. `parity`
// has one for each selected channel, which iterates over the others as Algorithm 2 does. Both deal
// the channels of x, which are copied, to their blocks in turn. The paper's tensors are planar; in
// interleaved ones neighbouring threads are a row apart.
template <class T, bool parity>
__global__ void forward_blocks(Forward<T> op, bool interleaved, AnyNorm norm) {
  const Shape& shape = op.shape;
  const int k = shape.selected;
  const int id = static_cast<int>(blockIdx.x);
  for (int64_t n = blockIdx.y; n < shape.batch; n += gridDim.y) {
    if (id == 0) {
      for (int s = threadIdx.x; s < k; s += blockDim.x) {
        check_distinct(op.parameters.index + n * k, s);
      }
    }
    for (int64_t channel = id; channel < shape.channels; channel += gridDim.x) {
      for (int64_t pixel = threadIdx.x; pixel < shape.pixels; pixel += blockDim.x) {
        *op.out(interleaved, n, channel, pixel) = *op.x.at(interleaved, n, channel, pixel);
      }
    }
    if constexpr (parity) {
      for (int other = 0; other < k; ++other) {
        if (parity_takes(id, other)) {
          const Pair pair{min(id, other), max(id, other)};
          write_product(op, interleaved, norm, n, pair);
        }
      }
    } else {
      write_product(op, interleaved, norm, n, pair_direct(k, id));
    }
  }
}

// `tiled` for planar tensors. A block computes the channels [first, last) of a tile of pixels of y:
// blockIdx is (tile, chunk of channels, image). z of the tile is in shared memory.
//
// `width` elements make one store of 16 bytes. Where the tile is the whole image, the channels of
// the block follow each other without a gap, so the block writes one stretch of memory, and all
// stores but those at its ends are full and aligned, whatever the size of the image. Otherwise the
// host chooses a width that divides both the image and the tile.
template <class T, int width, class NormOf>
__global__ void forward_tiled_planar(Forward<T> op, NormOf norm, int tile, int channels_per_block) {
  using A = typename AccumulateOf<T>::type;
  MMHADAPTIVE_DYNAMIC_SHARED(shared);
  const Shape& shape = op.shape;
  const int k = shape.selected;
  const int channels = static_cast<int>(shape.channels);
  const int64_t first_pixel = static_cast<int64_t>(blockIdx.x) * tile;
  const int count =
      static_cast<int>(shape.pixels - first_pixel < tile ? shape.pixels - first_pixel : tile);
  const int first = blockIdx.y * channels_per_block;
  const int last = min(first + channels_per_block, channels + shape.pairs);
  const int first_pair = max(first - channels, 0);
  A* z = reinterpret_cast<A*>(shared);
  auto* entries = reinterpret_cast<PairEntry<A>*>(z + k * tile);
  for (int p = first_pair + threadIdx.x; p < last - channels; p += blockDim.x) {
    entries[p - first_pair] = pair_entry(op, norm.has_parameters(), pair_direct(k, p), p);
  }
  const A alpha = op.parameters.alpha_or_one();

  for (int64_t n = blockIdx.z; n < shape.batch; n += gridDim.z) {
    const int64_t* index = op.parameters.index + n * k;
    // The products of the image before have been computed from z by now.
    __syncthreads();
    for (int at = threadIdx.x; at < k * count; at += blockDim.x) {
      const int s = at / count;
      const int pixel = at - s * count;
      const int64_t channel = checked_channel(index, s, shape.channels);
      const A value = widen(*op.x.template at<false>(n, channel, first_pixel + pixel));
      z[s * tile + pixel] = op.parameters.gate[n * k + s] * value;
      if (blockIdx.x == 0 && blockIdx.y == 0 && pixel == 0) {
        check_distinct(index, s);
      }
    }
    __syncthreads();

    const T* x = op.x.template at<false>(n, first, first_pixel);
    T* y = op.y + (n * (channels + shape.pairs) + first) * shape.pixels + first_pixel;
    const int total = (last - first) * count;
    const int misaligned = static_cast<int>(reinterpret_cast<uintptr_t>(y) / sizeof(T) % width);
    for (int start = static_cast<int>(threadIdx.x) * width - misaligned; start < total;
         start += blockDim.x * width) {
      const int begin = max(start, 0);
      const int end = min(start + width, total);
      int row = begin / count;
      int pixel = begin - row * count;
      T* to = y + row * shape.pixels + pixel;
      Pack<T, width> out;
#pragma unroll
      for (int e = 0; e < width; ++e) {
        if (start + e < begin || start + e >= end) {
          continue;
        }
        if (first + row < channels) {
          out.values[e] = x[row * op.x.row_stride + pixel];
        } else {
          const PairEntry<A> entry = entries[first + row - channels - first_pair];
          narrow(product(norm, alpha, entry, z[entry.i * tile + pixel], z[entry.j * tile + pixel]),
                 &out.values[e]);
        }
        if (++pixel == count) {
          pixel = 0;
          ++row;
        }
      }
      if (end - begin == width) {
        *reinterpret_cast<Pack<T, width>*>(to) = out;
        continue;
      }
#pragma unroll
      for (int e = 0; e < width; ++e) {
        if (start + e >= begin && start + e < end) {
          to[start + e - begin] = out.values[e];
        }
      }
    }
  }
}

// `tiled` for interleaved tensors. A thread owns `width` neighbouring channels, keeps what it needs
// to know of them in registers, and walks over the pixels of the tile: blockIdx is (tile, chunk of
// channels, image). The host chooses width so that it divides C + P.
template <class T, int width, class NormOf>
__global__ void forward_tiled_interleaved(Forward<T> op, NormOf norm, int tile) {
  using A = typename AccumulateOf<T>::type;
  MMHADAPTIVE_DYNAMIC_SHARED(shared);
  const Shape& shape = op.shape;
  const int k = shape.selected;
  const int out_channels = static_cast<int>(shape.channels) + shape.pairs;
  const int64_t first_pixel = static_cast<int64_t>(blockIdx.x) * tile;
  const int count =
      static_cast<int>(shape.pixels - first_pixel < tile ? shape.pixels - first_pixel : tile);
  const int first_channel = (blockIdx.y * blockDim.x + threadIdx.x) * width;
  A* z = reinterpret_cast<A*>(shared);
  PairEntry<A> entries[width];
#pragma unroll
  for (int e = 0; e < width; ++e) {
    const int p = first_channel + e - static_cast<int>(shape.channels);
    entries[e] = p < 0 || p >= shape.pairs
                     ? PairEntry<A>{1, 0, 0, 0}
                     : pair_entry(op, norm.has_parameters(), pair_direct(k, p), p);
  }
  const A alpha = op.parameters.alpha_or_one();

  for (int64_t n = blockIdx.z; n < shape.batch; n += gridDim.z) {
    const int64_t* index = op.parameters.index + n * k;
    __syncthreads();
    for (int at = threadIdx.x; at < k * count; at += blockDim.x) {
      const int s = at % k;
      const int pixel = at / k;
      const int64_t channel = checked_channel(index, s, shape.channels);
      const A value = widen(*op.x.template at<true>(n, channel, first_pixel + pixel));
      z[at] = op.parameters.gate[n * k + s] * value;
      if (blockIdx.x == 0 && blockIdx.y == 0 && pixel == 0) {
        check_distinct(index, s);
      }
    }
    __syncthreads();

    if (first_channel >= out_channels) {
      continue;
    }
    for (int pixel = 0; pixel < count; ++pixel) {
      Pack<T, width> out;
      const T* x = op.x.template at<true>(n, first_channel, first_pixel + pixel);
#pragma unroll
      for (int e = 0; e < width; ++e) {
        if (first_channel + e < shape.channels) {
          out.values[e] = x[e];
        } else {
          const A* values = z + pixel * k;
          narrow(product(norm, alpha, entries[e], values[entries[e].i], values[entries[e].j]),
                 &out.values[e]);
        }
      }
      T* y = op.y + (n * shape.pixels + first_pixel + pixel) * out_channels + first_channel;
      *reinterpret_cast<Pack<T, width>*>(y) = out;
    }
  }
}

}  // namespace mmhadaptive::cuda
