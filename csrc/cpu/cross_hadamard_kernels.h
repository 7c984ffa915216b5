// What the CPU kernels of one instruction set offer to the host.
#pragma once

#include <cstdint>

#include "../core/cross_hadamard_call.h"

namespace mmhadaptive::cpu {

// Tiles are at most this many pixels: all scratch rows of one then fit the second-level cache.
constexpr int kMaxTile = 256;

// The pixels [first, first + count) of image n.
struct Tile {
  int64_t n;
  int64_t first;
  int64_t count;
};

struct TiledShape : Shape {
  // Pixels that one task works on. In the backward it depends on the shape alone, never on the
  // threads, and so do all partial sums: results are the same for every number of threads.
  int64_t tile;

  MMHADAPTIVE_INLINE int64_t tiles() const {
    return divide_up(pixels, tile);
  }

  // Tasks go through the tiles of the first image, then through those of the next.
  MMHADAPTIVE_INLINE Tile tile_of(int64_t task) const {
    const int64_t first = task % tiles() * tile;
    const int64_t left = pixels - first;
    return {task / tiles(), first, left < tile ? left : tile};
  }
};

// The small vectors are in the type of the arithmetic. Without a normalisation alpha is 1, weight
// ones and bias zeros, so that no kernel reads a null pointer.
struct Parameters {
  const int64_t* index;  // batch x selected
  const void* gate;      // batch x selected
  const void* weight;    // pairs
  const void* bias;      // pairs
  double alpha;
};

struct Forward {
  TiledShape shape;
  Parameters parameters;
  AnyInput x;
  void* y;  // dense in the layout of x
};

// Partial sums are in the type of the arithmetic. `selected_sums` holds, for each tile, the sum
// over its pixels of x_s * d(loss)/d(z_s) / alpha; `pair_sums` holds, for each group of tiles, the
// sums for d weight and then those for d bias.
struct Backward {
  TiledShape shape;
  Parameters parameters;
  AnyInput x;
  AnyInput dy;
  void* dx;             // dense in the layout of x; null if it is not needed
  void* selected_sums;  // (batch * tiles) x selected
  void* pair_sums;      // groups x 2 x pairs
  int64_t tiles_per_group;

  // One past the last tile of a group.
  MMHADAPTIVE_INLINE int64_t group_end(int64_t group) const {
    const int64_t end = (group + 1) * tiles_per_group;
    const int64_t all = shape.batch * shape.tiles();
    return end < all ? end : all;
  }
};

// Both work on tasks [begin, end): tiles in the forward, groups of tiles in the backward.
using ForwardKernel = void (*)(const Forward&, int64_t begin, int64_t end);
using BackwardKernel = void (*)(const Backward&, int64_t begin, int64_t end);

namespace baseline {
ForwardKernel forward_kernel(Element element, Norm norm, Layout layout);
BackwardKernel backward_kernel(Element element, Norm norm, Layout layout);
}  // namespace baseline

#if defined(__x86_64__)
namespace avx2 {
ForwardKernel forward_kernel(Element element, Norm norm, Layout layout);
BackwardKernel backward_kernel(Element element, Norm norm, Layout layout);
}  // namespace avx2

namespace avx512 {
ForwardKernel forward_kernel(Element element, Norm norm, Layout layout);
BackwardKernel backward_kernel(Element element, Norm norm, Layout layout);
}  // namespace avx512
#endif

}  // namespace mmhadaptive::cpu
