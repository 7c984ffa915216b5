// The operator on a GPU. Neither it nor what it includes knows of a framework: nvcc reads a file
// once for each architecture, and torch's headers would be most of it.
#pragma once

#include <cuda_runtime_api.h>

#include "../core/cross_hadamard_call.h"
#include "cross_hadamard_plan.h"

namespace mmhadaptive::cuda {

// Memory of the sizes that the plan says. The sums are in the type of the arithmetic.
struct Scratch {
  void* selected_sums;
  void* pair_sums;
  double* alpha_parts;
};

// Both launch on the stream of the current device and do not wait.
cudaError_t forward(const ForwardCall& call, Strategy strategy, int multiprocessors,
                    cudaStream_t stream);
cudaError_t backward(const BackwardCall& call, const BackwardPlan& plan, const Scratch& scratch,
                     cudaStream_t stream);

}  // namespace mmhadaptive::cuda
