// What forward.cu and backward.cu offer to the operator. Neither they nor this file include
// anything of torch: nvcc reads a file once for each architecture, and torch's headers would be
// most of it.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "../cross_hadamard.h"

namespace mmhadaptive::cuda {

enum class Element : int { kFloat = 0, kDouble = 1, kBFloat16 = 2, kHalf = 3 };

enum class Strategy : int { kDirect = 0, kParity = 1, kTiled = 2 };

struct Shape {
  int64_t batch;
  int64_t channels;
  int64_t pixels;
  int selected;
  int pairs;
};

struct AnyInput {
  const void* data;
  int64_t batch_stride;
  int64_t row_stride;
};

// The small vectors are in the accumulation type: double for double, else float.
struct AnyParameters {
  const int64_t* index;  // batch x selected
  const void* gate;      // batch x selected
  const void* alpha;     // one; null without a normalisation, and so are the next two
  const void* weight;
  const void* bias;
};

struct Call {
  Shape shape;
  AnyParameters parameters;
  AnyInput x;
  Element element;
  Norm norm;
  bool interleaved;
  int multiprocessors;
  cudaStream_t stream;
};

struct ForwardCall : Call {
  Strategy strategy;
  void* y;  // dense in the layout of x
};

// Gradients that are not needed are null.
struct BackwardCall : Call {
  AnyInput dy;
  void* dx;  // dense in the layout of x
  void* dgate;
  void* dalpha;
  void* dweight;
  void* dbias;
  // Scratch memory of the sizes that plan_backward says.
  void* selected_sums;
  void* pair_sums;
  double* dalpha_parts;
};

cudaError_t forward(const ForwardCall& call);
cudaError_t backward(const BackwardCall& call);

}  // namespace mmhadaptive::cuda
