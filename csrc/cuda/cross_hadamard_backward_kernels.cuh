// The backward in one pass over dy, without atomics: every sum has one owner and one order.
//
// A block goes through tiles of 32 pixels, a lane of its warps for each. The products are dealt out
// to the warps in runs; a warp adds what they contribute to d z in a copy of its own, column by
// column, so that no two threads share an address, and the copies are added up in order at the end
// of the tile. Sums over pixels for weight and bias are reduced within the warp and kept in shared
// memory for all tiles of the block.
//
// As h = d(loss)/d(v) / alpha is summed and not d(loss)/d(v), the sums over pixels of
// x_s * d(loss)/d(z_s) / alpha give d gate and, since each product appears in those of both its
// channels, d alpha = 1/2 sum_s gate_s * sum_s as well.
#pragma once

#include "cross_hadamard_device.cuh"
#include "cross_hadamard_plan.h"

namespace mmhadaptive::cuda {

// Products that a warp loads before it uses the first.
constexpr int kRun = 8;

template <class T>
struct Backward {
  using A = typename AccumulateOf<T>::type;
  Shape shape;
  Parameters<A> parameters;
  Input<T> x;
  Input<T> dy;
  T* dx;             // dense in the layout of x; null if it is not needed
  A* selected_sums;  // (batch * tiles) x selected
  A* pair_sums;      // blocks x 2 x pairs
  int64_t tiles;     // of an image
  int64_t tiles_per_block;
};

// Shared memory of one block, in order.
template <class A>
struct BackwardShared {
  A* z;           // selected x kLanes
  A* dz;          // warps x selected x kLanes
  A* sums;        // 2 x pairs
  A* staged;      // warps * kRun x (kLanes + 1), interleaved only
  int8_t* slots;  // channels: the position among the selected, or -1
  size_t bytes;

  __host__ __device__ BackwardShared(unsigned char* memory, int k, int pairs, int64_t channels,
                                     int warps, bool interleaved) {
    A* base = reinterpret_cast<A*>(memory);
    size_t size = 0;
    z = base;
    size += static_cast<size_t>(k) * kLanes;
    dz = base + size;
    size += static_cast<size_t>(warps) * k * kLanes;
    sums = base + size;
    size += 2 * static_cast<size_t>(pairs);
    staged = base + size;
    size += interleaved ? static_cast<size_t>(warps) * kRun * (kLanes + 1) : 0;
    slots = reinterpret_cast<int8_t*>(base + size);
    bytes = size * sizeof(A) + static_cast<size_t>(channels);
  }
};

// The sum of each of sixteen values over the 32 lanes: lane l returns that of value l / 2. Halving
// the number of values with every exchange takes 16 exchanges instead of 80. The recursion keeps
// all indices constant, and so the values in registers.
template <int half = 8, class A>
__device__ __forceinline__ A reduce_sixteen(A (&values)[16], int lane) {
  if constexpr (half == 0) {
    return values[0] + __shfl_xor_sync(0xffffffffu, values[0], 1);
  } else {
    const bool upper = (lane & (2 * half)) != 0;
#pragma unroll
    for (int v = 0; v < half; ++v) {
      const A kept = upper ? values[v + half] : values[v];
      const A given = upper ? values[v] : values[v + half];
      values[v] = kept + __shfl_xor_sync(0xffffffffu, given, 2 * half);
    }
    return reduce_sixteen<half / 2>(values, lane);
  }
}

template <class A>
__device__ __forceinline__ A reduce_one(A value) {
#pragma unroll
  for (int distance = kLanes / 2; distance >= 1; distance /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  }
  return value;
}

// Calls body(row, pixel) for all of rows x kLanes, such that neighbouring threads get neighbouring
// addresses of the layout.
template <class Body>
__device__ __forceinline__ void for_tile(bool interleaved, int rows, const Body& body) {
  if (interleaved) {
    for (int at = threadIdx.x; at < rows * kLanes; at += blockDim.x) {
      body(at % rows, at / rows);
    }
  } else {
    for (int at = threadIdx.x; at < rows * kLanes; at += blockDim.x) {
      body(at / kLanes, at % kLanes);
    }
  }
}

template <class T, int warps, class NormOf>
__global__ void __launch_bounds__(warps* kLanes)
    backward_tiled(Backward<T> op, bool interleaved, NormOf norm) {
  using A = typename AccumulateOf<T>::type;
  MMHADAPTIVE_DYNAMIC_SHARED(memory);
  const Shape& shape = op.shape;
  const int k = shape.selected;
  const int pairs = shape.pairs;
  const int lane = threadIdx.x % kLanes;
  const int warp = threadIdx.x / kLanes;
  const BackwardShared<A> shared(memory, k, pairs, shape.channels, warps, interleaved);
  A* const own_dz = shared.dz + warp * k * kLanes + lane;
  const A* const own_z = shared.z + lane;
  const A alpha = op.parameters.alpha_or_one();
  for (int at = threadIdx.x; at < 2 * pairs; at += blockDim.x) {
    shared.sums[at] = 0;
  }

  const int64_t last_tile = min(static_cast<long long>((blockIdx.x + 1) * op.tiles_per_block),
                                static_cast<long long>(shape.batch * op.tiles));
  for (int64_t tile = blockIdx.x * op.tiles_per_block; tile < last_tile; ++tile) {
    const int64_t n = tile / op.tiles;
    const int64_t first_pixel = tile % op.tiles * kLanes;
    const int count = static_cast<int>(
        min(static_cast<long long>(kLanes), static_cast<long long>(shape.pixels - first_pixel)));
    const int64_t* index = op.parameters.index + n * k;
    const A* gate = op.parameters.gate + n * k;
    const bool active = lane < count;

    // The tile before has been finished with.
    __syncthreads();
    for (int64_t c = threadIdx.x; c < shape.channels; c += blockDim.x) {
      shared.slots[c] = -1;
    }
    for_tile(interleaved, k, [&](int s, int pixel) {
      const int64_t channel = checked_channel(index, s, shape.channels);
      A value = 0;
      if (pixel < count) {
        value = widen(*op.x.at(interleaved, n, channel, first_pixel + pixel));
      }
      shared.z[s * kLanes + pixel] = gate[s] * value;
      if (pixel == 0 && first_pixel == 0) {
        check_distinct(index, s);
      }
    });
    for (int at = threadIdx.x; at < warps * k * kLanes; at += blockDim.x) {
      shared.dz[at] = 0;
    }
    __syncthreads();
    for (int s = threadIdx.x; s < k; s += blockDim.x) {
      shared.slots[index[s]] = static_cast<int8_t>(s);
    }

    for (int round = 0; round < pairs; round += warps * kRun) {
      const int first = round + warp * kRun;
      A g[kRun];
      if (interleaved) {
        // The block reads runs of neighbouring channels and turns them into columns of pixels.
        __syncthreads();
        for (int at = threadIdx.x; at < warps * kRun * kLanes; at += blockDim.x) {
          const int q = at % (warps * kRun);
          const int pixel = at / (warps * kRun);
          A value = 0;
          if (pixel < count && round + q < pairs) {
            value =
                widen(*op.dy.template at<true>(n, shape.channels + round + q, first_pixel + pixel));
          }
          shared.staged[q * (kLanes + 1) + pixel] = value;
        }
        __syncthreads();
#pragma unroll
        for (int q = 0; q < kRun; ++q) {
          g[q] = shared.staged[(warp * kRun + q) * (kLanes + 1) + lane];
        }
      } else {
#pragma unroll
        for (int q = 0; q < kRun; ++q) {
          g[q] = 0;
          if (active && first + q < pairs) {
            g[q] =
                widen(*op.dy.template at<false>(n, shape.channels + first + q, first_pixel + lane));
          }
        }
      }
      if (first >= pairs) {
        continue;
      }

      Pair pair = pair_direct(k, first);
      A zi = own_z[pair.i * kLanes];
      A dzi = 0;
      A products[2 * kRun];
#pragma unroll
      for (int q = 0; q < kRun; ++q) {
        products[q] = 0;
        products[kRun + q] = g[q];
        if (first + q >= pairs) {
          continue;
        }
        const A zj = own_z[pair.j * kLanes];
        A h = g[q];
        A value;
        A slope;
        norm.value_and_slope(alpha * zi * zj, value, slope);
        if (norm.has_parameters()) {
          products[q] = g[q] * value;
          h = g[q] * op.parameters.weight[first + q] * slope;
        }
        dzi += h * zj;
        own_dz[pair.j * kLanes] += h * zi;
        if (++pair.j == k) {
          own_dz[pair.i * kLanes] += dzi;
          dzi = 0;
          ++pair.i;
          pair.j = pair.i + 1;
          zi = own_z[pair.i * kLanes];
        }
      }
      own_dz[pair.i * kLanes] += dzi;
      const A sum = reduce_sixteen(products, lane);
      const int q = lane / 2 % kRun;
      if (lane % 2 == 0 && first + q < pairs) {
        shared.sums[(lane / 2 < kRun ? 0 : pairs) + first + q] += sum;
      }
    }

    __syncthreads();
    for (int at = threadIdx.x; at < k * kLanes; at += blockDim.x) {
      A sum = 0;
#pragma unroll
      for (int w = 0; w < warps; ++w) {
        sum += shared.dz[w * k * kLanes + at];
      }
      shared.dz[at] = sum;
    }
    __syncthreads();
    for (int s = warp; s < k; s += warps) {
      A value = 0;
      if (active) {
        value = widen(*op.x.at(interleaved, n, index[s], first_pixel + lane));
      }
      const A sum = reduce_one(shared.dz[s * kLanes + lane] * value);
      if (lane == 0) {
        op.selected_sums[tile * k + s] = sum;
      }
    }

    if (op.dx == nullptr) {
      continue;
    }
    T* const dx = op.dx + n * shape.channels * shape.pixels;
    for_tile(interleaved, static_cast<int>(shape.channels), [&](int channel, int pixel) {
      if (pixel >= count) {
        return;
      }
      const int64_t at_pixel = first_pixel + pixel;
      A value = widen(*op.dy.at(interleaved, n, channel, at_pixel));
      const int s = shared.slots[channel];
      if (s >= 0) {
        value += alpha * gate[s] * shared.dz[s * kLanes + pixel];
      }
      narrow(value, dx + (interleaved ? at_pixel * shape.channels + channel
                                      : channel * shape.pixels + at_pixel));
    });
  }

  __syncthreads();
  A* pair_sums = op.pair_sums + static_cast<int64_t>(blockIdx.x) * 2 * pairs;
  for (int at = threadIdx.x; at < 2 * pairs; at += blockDim.x) {
    pair_sums[at] = shared.sums[at];
  }
}

// d gate, and the parts of d alpha that the blocks of this kernel sum up.
template <class A>
__global__ void finish_selected(const A* selected_sums, const A* gate, const A* alpha,
                                int64_t tiles, int64_t total, int k, A* dgate,
                                double* dalpha_parts) {
  __shared__ double parts[kLanes];
  double part = 0;
  const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < total) {
    const int64_t n = at / k;
    const int64_t s = at - n * k;
    A sum = 0;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      sum += selected_sums[(n * tiles + tile) * k + s];
    }
    part = 0.5 * static_cast<double>(sum) * static_cast<double>(gate[at]);
    if (dgate != nullptr) {
      dgate[at] = (alpha == nullptr ? A(1) : *alpha) * sum;
    }
  }
  part = reduce_one(part);
  if (threadIdx.x % kLanes == 0) {
    parts[threadIdx.x / kLanes] = part;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double sum = 0;
    for (int w = 0; w < static_cast<int>(blockDim.x) / kLanes; ++w) {
      sum += parts[w];
    }
    dalpha_parts[blockIdx.x] = sum;
  }
}

// Adds up the rows of a rows x (2 * pairs) matrix: a block takes 32 columns, its warps every eighth
// row each. The block after the last does so for the parts of d alpha.
template <class A>
__global__ void finish_pairs(const A* pair_sums, int64_t rows, int pairs,
                             const double* dalpha_parts, int64_t num_parts, A* dweight, A* dbias,
                             A* dalpha) {
  constexpr int kWarps = 8;
  __shared__ double parts[kWarps][kLanes];
  const int lane = threadIdx.x % kLanes;
  const int warp = threadIdx.x / kLanes;
  const int64_t columns = 2 * static_cast<int64_t>(pairs);
  const bool is_alpha = blockIdx.x == gridDim.x - 1;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kLanes + lane;
  double part = 0;
  if (is_alpha) {
    for (int64_t at = threadIdx.x; at < num_parts; at += kWarps * kLanes) {
      part += dalpha_parts[at];
    }
    part = reduce_one(part);
  } else if (column < columns) {
    for (int64_t row = warp; row < rows; row += kWarps) {
      part += static_cast<double>(pair_sums[row * columns + column]);
    }
  }
  parts[warp][lane] = part;
  __syncthreads();
  if (warp > 0) {
    return;
  }
  double sum = 0;
  for (int w = 0; w < kWarps; ++w) {
    sum += parts[w][lane];
  }
  if (is_alpha) {
    if (lane == 0 && dalpha != nullptr) {
      *dalpha = static_cast<A>(sum);
    }
  } else if (column < pairs) {
    if (dweight != nullptr) {
      dweight[column] = static_cast<A>(sum);
    }
  } else if (column < columns && dbias != nullptr) {
    dbias[column - pairs] = static_cast<A>(sum);
  }
}

}  // namespace mmhadaptive::cuda
