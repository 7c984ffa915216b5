// setup.py compiles this file once per instruction set, and MMHADAPTIVE_INSTRUCTION_SET names the
// namespace of the copy.
#include "cross_hadamard_parts.h"

namespace mmhadaptive::cpu {
namespace {

template <class Op, class T, Norm norm>
void Kernels<Op, T, norm>::planar(const Op& op, int64_t begin, int64_t end) {
  const TiledShape& shape = op.shape;
  const int k = shape.selected;
  const int64_t out_channels = shape.channels + shape.pairs;
  const auto* gate = static_cast<const A*>(op.parameters.gate);
  const auto* weight = static_cast<const A*>(op.parameters.weight);
  const auto* bias = static_cast<const A*>(op.parameters.bias);
  const V alpha = Math::broadcast(static_cast<A>(op.parameters.alpha));
  alignas(64) A z[kMaxSelected][kPadded];
  alignas(64) A scaled[kPadded];

  for (int64_t task = begin; task < end; ++task) {
    const Tile tile = shape.tile_of(task);
    const T* x = rows<T>(op.x, tile.n) + tile.first;
    T* y = static_cast<T*>(op.y) + tile.n * out_channels * shape.pixels + tile.first;

    if (tile.count == shape.pixels && op.x.row_stride == shape.pixels) {
      copy(y, x, shape.channels * shape.pixels);
    } else {
      for (int64_t c = 0; c < shape.channels; ++c) {
        copy(y + c * shape.pixels, x + c * op.x.row_stride, tile.count);
      }
    }
    y += shape.channels * shape.pixels;

    for (int s = 0; s < k; ++s) {
      const T* row = x + op.parameters.index[tile.n * k + s] * op.x.row_stride;
      const V g = Math::broadcast(gate[tile.n * k + s]);
      for_vectors<Math>(tile.count, [&](int64_t offset, int part) {
        Math::store(&z[s][offset], g * load_up_to<Math>(row + offset, part));
      });
    }

    for (int i = 0, p = 0; i < k - 1; ++i) {
      for (int64_t offset = 0; offset < tile.count; offset += Math::lanes) {
        Math::store(&scaled[offset], alpha * Math::load(&z[i][offset]));
      }
      for (int j = i + 1; j < k; ++j, ++p) {
        const V w = Math::broadcast(weight[p]);
        const V b = Math::broadcast(bias[p]);
        T* row = y + p * shape.pixels;
        for_vectors<Math>(tile.count, [&](int64_t offset, int part) {
          const V t = Math::load(&scaled[offset]) * Math::load(&z[j][offset]);
          const V f = Normalisation<norm, Math>::value(t);
          store_up_to<Math>(row + offset, norm == Norm::kNone ? f : w * f + b, part);
        });
      }
    }
  }
}

template <class Op, class T, Norm norm>
void Kernels<Op, T, norm>::interleaved(const Op& op, int64_t begin, int64_t end) {
  const TiledShape& shape = op.shape;
  const int k = shape.selected;
  const int64_t out_channels = shape.channels + shape.pairs;
  const auto* gate = static_cast<const A*>(op.parameters.gate);
  const V alpha = Math::broadcast(static_cast<A>(op.parameters.alpha));
  // Whole vectors are read past the end of these.
  alignas(64) A weight[kPairsPadded];
  alignas(64) A bias[kPairsPadded];
  alignas(64) A z[kSelectedPadded] = {};
  copy(weight, static_cast<const A*>(op.parameters.weight), shape.pairs);
  copy(bias, static_cast<const A*>(op.parameters.bias), shape.pairs);

  for (int64_t task = begin; task < end; ++task) {
    const Tile tile = shape.tile_of(task);
    const int64_t* index = op.parameters.index + tile.n * k;
    T* y = static_cast<T*>(op.y) + (tile.n * shape.pixels + tile.first) * out_channels;

    for (int64_t pixel = 0; pixel < tile.count; ++pixel, y += out_channels) {
      const T* x = rows<T>(op.x, tile.n) + (tile.first + pixel) * op.x.row_stride;
      copy(y, x, shape.channels);
      for (int s = 0; s < k; ++s) {
        z[s] = gate[tile.n * k + s] * widen(x[index[s]]);
      }
      T* products = y + shape.channels;
      for (int i = 0, p = 0; i < k - 1; p += k - 1 - i, ++i) {
        const V left = alpha * Math::broadcast(z[i]);
        for (int j = i + 1, q = p; j < k; j += Math::lanes, q += Math::lanes) {
          prefetch_to_write(products + out_channels + q);
          const V f = Normalisation<norm, Math>::value(left * Math::load(&z[j]));
          const V out = norm == Norm::kNone ? f : Math::load(&weight[q]) * f + Math::load(&bias[q]);
          // What is past the end of row i is overwritten by row i + 1.
          if (q + Math::lanes <= shape.pairs) {
            Math::store(products + q, out);
          } else {
            Math::store(products + q, out, static_cast<int>(smaller(k - j, Math::lanes)));
          }
        }
      }
    }
  }
}

}  // namespace

ForwardKernel MMHADAPTIVE_INSTRUCTION_SET::forward_kernel(Element element, Norm norm,
                                                          Layout layout) {
  return kernel_for<Forward>(element, norm, layout);
}

}  // namespace mmhadaptive::cpu
