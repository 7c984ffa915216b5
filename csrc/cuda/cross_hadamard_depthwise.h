// The step from selected channels through the depthwise convolution on a GPU, without a framework.
#pragma once

#include <cuda_runtime_api.h>

#include "../core/cross_hadamard_depthwise_call.h"

namespace mmhadaptive::cuda {

// Launches on the stream of the current device and does not wait.
cudaError_t cross_hadamard_depthwise(const CrossHadamardDepthwiseCall& call, cudaStream_t stream);

}  // namespace mmhadaptive::cuda
