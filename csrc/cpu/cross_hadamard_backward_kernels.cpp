// setup.py compiles this file once per instruction set, and MMHADAPTIVE_INSTRUCTION_SET names the
// namespace of the copy.
#include "cross_hadamard_parts.h"

namespace mmhadaptive::cpu {
namespace {

// Pixels that the interleaved backward carries side by side, to share the loads and stores of the
// per-pair sums.
constexpr int kPixelBlock = 4;

// Pairs that the planar backward carries side by side, as many as there are registers for.
constexpr int kPairBlock = kVectorBytes == 64 ? 4 : 2;

template <class Op, class T, Norm norm>
void Kernels<Op, T, norm>::planar(const Op& op, int64_t begin, int64_t end) {
  const TiledShape& shape = op.shape;
  const int k = shape.selected;
  const auto* gate = static_cast<const A*>(op.parameters.gate);
  const auto* weight = static_cast<const A*>(op.parameters.weight);
  const V alpha = Math::broadcast(static_cast<A>(op.parameters.alpha));
  alignas(64) A z[kMaxSelected][kPadded];
  alignas(64) A dz[kMaxSelected][kPadded];
  alignas(64) A scaled[kPadded];

  for (int64_t group = begin; group < end; ++group) {
    A* weight_sums = static_cast<A*>(op.pair_sums) + group * 2 * shape.pairs;
    A* bias_sums = weight_sums + shape.pairs;
    for (int p = 0; p < 2 * shape.pairs; ++p) {
      weight_sums[p] = 0;
    }
    for (int64_t task = group * op.tiles_per_group; task < op.group_end(group); ++task) {
      const Tile tile = shape.tile_of(task);
      const int64_t* index = op.parameters.index + tile.n * k;
      const T* x = rows<T>(op.x, tile.n) + tile.first;
      const T* dy = rows<T>(op.dy, tile.n) + tile.first;

      for (int s = 0; s < k; ++s) {
        const T* row = x + index[s] * op.x.row_stride;
        const V g = Math::broadcast(gate[tile.n * k + s]);
        for_vectors<Math>(tile.count, [&](int64_t offset, int part) {
          Math::store(&z[s][offset], g * load_up_to<Math>(row + offset, part));
          Math::store(&dz[s][offset], V{});
        });
      }

      // dz holds d(loss)/d(z) / alpha.
      for (int i = 0, p = 0; i < k - 1; ++i) {
        for (int64_t offset = 0; offset < tile.count; offset += Math::lanes) {
          Math::store(&scaled[offset], alpha * Math::load(&z[i][offset]));
        }
        // Products of channel i side by side share the loads and stores of its rows.
        const auto accumulate = [&](int j, auto pairs) {
          constexpr int kPairs = decltype(pairs)::value;
          const T* row = dy + (shape.channels + p) * op.dy.row_stride;
          V w[kPairs];
          V weight_sum[kPairs] = {};
          V bias_sum[kPairs] = {};
          for (int b = 0; b < kPairs; ++b) {
            w[b] = Math::broadcast(weight[p + b]);
          }
          for_vectors<Math>(tile.count, [&](int64_t offset, int part) {
            const V zi = Math::load(&z[i][offset]);
            const V left = Math::load(&scaled[offset]);
            V dzi = Math::load(&dz[i][offset]);
            for (int b = 0; b < kPairs; ++b) {
              const V g = load_up_to<Math>(row + b * op.dy.row_stride + offset, part);
              const V zj = Math::load(&z[j + b][offset]);
              V f;
              V slope;
              Normalisation<norm, Math>::value_and_slope(left * zj, f, slope);
              const V h = norm == Norm::kNone ? g : g * w[b] * slope;
              weight_sum[b] += g * f;
              bias_sum[b] += g;
              dzi += h * zj;
              Math::store(&dz[j + b][offset], Math::load(&dz[j + b][offset]) + h * zi);
            }
            Math::store(&dz[i][offset], dzi);
          });
          for (int b = 0; b < kPairs; ++b, ++p) {
            weight_sums[p] += Math::sum(weight_sum[b]);
            bias_sums[p] += Math::sum(bias_sum[b]);
          }
        };
        int j = i + 1;
        for (; j + kPairBlock <= k; j += kPairBlock) {
          accumulate(j, Constant<kPairBlock>{});
        }
        for (; j < k; ++j) {
          accumulate(j, Constant<1>{});
        }
      }

      A* selected_sums = static_cast<A*>(op.selected_sums) + task * k;
      for (int s = 0; s < k; ++s) {
        const T* row = x + index[s] * op.x.row_stride;
        V sum = {};
        for_vectors<Math>(tile.count, [&](int64_t offset, int part) {
          sum += Math::load(&dz[s][offset]) * load_up_to<Math>(row + offset, part);
        });
        selected_sums[s] = Math::sum(sum);
      }

      if (op.dx == nullptr) {
        continue;
      }
      T* dx = static_cast<T*>(op.dx) + tile.n * shape.channels * shape.pixels + tile.first;
      for (int64_t c = 0; c < shape.channels; ++c) {
        copy(dx + c * shape.pixels, dy + c * op.dy.row_stride, tile.count);
      }
      for (int s = 0; s < k; ++s) {
        const T* from = dy + index[s] * op.dy.row_stride;
        T* to = dx + index[s] * shape.pixels;
        const V g = alpha * Math::broadcast(gate[tile.n * k + s]);
        for_vectors<Math>(tile.count, [&](int64_t offset, int part) {
          const V sum = load_up_to<Math>(from + offset, part) + g * Math::load(&dz[s][offset]);
          store_up_to<Math>(to + offset, sum, part);
        });
      }
    }
  }
}

template <class Op, class T, Norm norm>
void Kernels<Op, T, norm>::interleaved(const Op& op, int64_t begin, int64_t end) {
  const TiledShape& shape = op.shape;
  const int k = shape.selected;
  const auto* gate = static_cast<const A*>(op.parameters.gate);
  const A alpha = static_cast<A>(op.parameters.alpha);
  alignas(64) A weight[kPairsPadded];
  alignas(64) A weight_sums[kPairsPadded];
  alignas(64) A bias_sums[kPairsPadded];
  alignas(64) A x_selected[kPixelBlock][kSelectedPadded] = {};
  alignas(64) A z[kPixelBlock][kSelectedPadded] = {};
  alignas(64) A dz[kPixelBlock][kSelectedPadded];
  copy(weight, static_cast<const A*>(op.parameters.weight), shape.pairs);
  for (int p = shape.pairs; p < kPairsPadded; ++p) {
    weight[p] = 0;
  }

  for (int64_t group = begin; group < end; ++group) {
    for (int p = 0; p < kPairsPadded; ++p) {
      weight_sums[p] = 0;
      bias_sums[p] = 0;
    }
    for (int64_t task = group * op.tiles_per_group; task < op.group_end(group); ++task) {
      const Tile tile = shape.tile_of(task);
      const int64_t last = tile.first + tile.count;
      const int64_t* index = op.parameters.index + tile.n * k;
      alignas(64) A selected_sums[kSelectedPadded] = {};

      for (int64_t pixel = tile.first; pixel < last; pixel += kPixelBlock) {
        const int valid = static_cast<int>(smaller(kPixelBlock, last - pixel));
        const int64_t next_block = kPixelBlock * op.dy.row_stride;
        const T* dy[kPixelBlock];
        for (int b = 0; b < kPixelBlock; ++b) {
          // The pixels of a last, partial block repeat one pixel and count nothing of it.
          const int64_t at = pixel + (b < valid ? b : 0);
          const T* x = rows<T>(op.x, tile.n) + at * op.x.row_stride;
          dy[b] = rows<T>(op.dy, tile.n) + at * op.dy.row_stride;
          for (int64_t c = 0; c < shape.channels; c += kLine / sizeof(T)) {
            prefetch(x + kPixelBlock * op.x.row_stride + c);
            prefetch(dy[b] + next_block + c);
          }
          for (int s = 0; s < k; ++s) {
            x_selected[b][s] = b < valid ? widen(x[index[s]]) : A(0);
            z[b][s] = gate[tile.n * k + s] * x_selected[b][s];
          }
          for (int s = 0; s < kSelectedPadded; ++s) {
            dz[b][s] = 0;
          }
        }

        for (int i = 0, p = 0; i < k - 1; p += k - 1 - i, ++i) {
          V left[kPixelBlock];
          V zi[kPixelBlock];
          V dzi[kPixelBlock] = {};
          for (int b = 0; b < kPixelBlock; ++b) {
            zi[b] = Math::broadcast(z[b][i]);
            left[b] = alpha * zi[b];
          }
          for (int j = i + 1, q = p; j < k; j += Math::lanes, q += Math::lanes) {
            const int part = static_cast<int>(smaller(k - j, Math::lanes));
            const V w = Math::load(&weight[q]);
            V weight_sum = Math::load(&weight_sums[q]);
            V bias_sum = Math::load(&bias_sums[q]);
            for (int b = 0; b < kPixelBlock; ++b) {
              prefetch(dy[b] + next_block + shape.channels + q);
              const V g = Math::load(dy[b] + shape.channels + q, b < valid ? part : 0);
              const V zj = Math::load(&z[b][j]);
              V f;
              V slope;
              Normalisation<norm, Math>::value_and_slope(left[b] * zj, f, slope);
              const V h = norm == Norm::kNone ? g : g * w * slope;
              weight_sum += g * f;
              bias_sum += g;
              dzi[b] += h * zj;
              Math::store(&dz[b][j], Math::load(&dz[b][j]) + h * zi[b]);
            }
            Math::store(&weight_sums[q], weight_sum);
            Math::store(&bias_sums[q], bias_sum);
          }
          for (int b = 0; b < kPixelBlock; ++b) {
            dz[b][i] += Math::sum(dzi[b]);
          }
        }

        for (int b = 0; b < valid; ++b) {
          for (int s = 0; s < k; s += Math::lanes) {
            const V sum = Math::load(&selected_sums[s]) +
                          Math::load(&dz[b][s]) * Math::load(&x_selected[b][s]);
            Math::store(&selected_sums[s], sum);
          }
          if (op.dx != nullptr) {
            T* dx = static_cast<T*>(op.dx) + (tile.n * shape.pixels + pixel + b) * shape.channels;
            copy(dx, dy[b], shape.channels);
            for (int s = 0; s < k; ++s) {
              const A g = alpha * gate[tile.n * k + s];
              narrow(widen(dy[b][index[s]]) + g * dz[b][s], &dx[index[s]]);
            }
          }
        }
      }
      copy(static_cast<A*>(op.selected_sums) + task * k, selected_sums, k);
    }
    A* sums = static_cast<A*>(op.pair_sums) + group * 2 * shape.pairs;
    copy(sums, weight_sums, shape.pairs);
    copy(sums + shape.pairs, bias_sums, shape.pairs);
  }
}

}  // namespace

BackwardKernel MMHADAPTIVE_INSTRUCTION_SET::backward_kernel(Element element, Norm norm,
                                                            Layout layout) {
  return kernel_for<Backward>(element, norm, layout);
}

}  // namespace mmhadaptive::cpu
