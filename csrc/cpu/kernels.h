// What the CPU kernels of one instruction set offer to the operator.
#pragma once

#include <cstdint>

#include "../cross_hadamard.h"

namespace mmhadaptive::cpu {

enum class Element : int { kFloat = 0, kDouble = 1, kBFloat16 = 2, kHalf = 3 };

// Planar: the pixels of a channel are adjacent (NCHW). Interleaved: the channels of a pixel are
// adjacent (channels_last). A "row" is a channel in the first and a pixel in the second.
enum class Layout : int { kPlanar = 0, kInterleaved = 1 };

// Tiles are at most this many pixels: all scratch rows of one then fit the second-level cache.
constexpr int kMaxTile = 256;

struct Input {
  const void* data;
  int64_t batch_stride;
  int64_t row_stride;
};

struct Shape {
  int64_t batch;
  int64_t channels;
  int64_t pixels;
  int selected;
  int pairs;
  // Pixels that one task works on. In the backward it depends on the shape alone, never on the
  // threads, and so do all partial sums: results are the same for every number of threads.
  int64_t tile;

  int64_t tiles() const {
    return (pixels + tile - 1) / tile;
  }
};

// The small vectors are in the accumulation type: double for double, else float. Without a
// normalisation alpha is 1, weight ones and bias zeros, so that no kernel reads a null pointer.
struct Parameters {
  const int64_t* index;  // batch x selected
  const void* gate;      // batch x selected
  const void* weight;    // pairs
  const void* bias;      // pairs
  double alpha;
};

struct Forward {
  Shape shape;
  Parameters parameters;
  Input x;
  void* y;  // dense in the layout of x
};

// Partial sums are in the accumulation type. `selected_sums` holds, for each tile, the sum over its
// pixels of x_s * d(loss)/d(z_s) / alpha; `pair_sums` holds, for each group of tiles, the sums for
// d weight and then those for d bias.
struct Backward {
  Shape shape;
  Parameters parameters;
  Input x;
  Input dy;
  void* dx;             // dense in the layout of x; null if it is not needed
  void* selected_sums;  // (batch * tiles) x selected
  void* pair_sums;      // groups x 2 x pairs
  int64_t tiles_per_group;
};

// Both work on tasks [begin, end): tiles in the forward, groups of tiles in the backward.
using ForwardKernel = void (*)(const Forward&, int64_t begin, int64_t end);
using BackwardKernel = void (*)(const Backward&, int64_t begin, int64_t end);

struct Kernels {
  ForwardKernel (*forward)(Element, Norm, Layout);
  BackwardKernel (*backward)(Element, Norm, Layout);
};

extern const Kernels kernels_baseline;
#if defined(__x86_64__)
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
#endif

}  // namespace mmhadaptive::cpu
