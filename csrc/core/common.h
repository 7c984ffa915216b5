// What every operator uses, on the host and on the device.
#pragma once

#include <cstdint>

// For every function of core/. The CPU kernels are compiled once per instruction set, and an
// out-of-line copy kept by the linker could carry instructions that the machine does not have.
#if defined(__CUDACC__)
#define MMHADAPTIVE_INLINE __host__ __device__ __forceinline__
#else
#define MMHADAPTIVE_INLINE inline __attribute__((always_inline))
#endif

namespace mmhadaptive {

// What the elements of a tensor are.
enum class Element : int { kFloat = 0, kDouble = 1, kBFloat16 = 2, kHalf = 3 };

// Planar: the pixels of a channel are adjacent (NCHW). Interleaved: the channels of a pixel are
// adjacent (channels_last). A "row" is a channel in the first and a pixel in the second.
enum class Layout : int { kPlanar = 0, kInterleaved = 1 };

// A batch of maps that is read.
struct AnyInput {
  const void* data;
  int64_t batch_stride;
  int64_t row_stride;
};

// The type of the arithmetic on elements of type T: double for double, else float.
template <class T>
struct AccumulateOf {
  using type = float;
};
template <>
struct AccumulateOf<double> {
  using type = double;
};

MMHADAPTIVE_INLINE constexpr int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace mmhadaptive
