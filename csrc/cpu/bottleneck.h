// The fused blocks of inference on the CPU, with the threads of the caller. Neither they nor what
// they include know of a framework.
#pragma once

#include "../core/bottleneck_call.h"
#include "../core/cross_hadamard_depthwise_call.h"
#include "parallel_for.h"

namespace mmhadaptive::cpu {

// Floats that a call needs for itself, aligned to 64 bytes; what is in them does not matter.
int64_t bottleneck_workspace(const BottleneckCall& call);

// Results do not depend on the threads. The first throws a std::runtime_error where a given index
// is out of range.
void bottleneck_forward(const BottleneckCall& call, float* workspace,
                        const ParallelFor& parallel_for);
void patch_convolution_forward(const PatchConvolutionCall& call, const ParallelFor& parallel_for);

// float32 with dense x alone. Packs the weights with every call, so a bottleneck is the faster one.
void cross_hadamard_depthwise_forward(const CrossHadamardDepthwiseCall& call,
                                      const ParallelFor& parallel_for);

// Copies between layouts: `from` is of the layout that `to` is not.
void planar_to_interleaved(const Maps& maps, const float* from, float* to,
                           const ParallelFor& parallel_for);
void interleaved_to_planar(const Maps& maps, const float* from, float* to,
                           const ParallelFor& parallel_for);

// Plain weights into packed ones; `to` has room for the padded channels.
void pack_pointwise(const float* weight, int64_t out_channels, int64_t in_channels, float* to);
void pack_depthwise(const float* weight, int64_t channels, int kernel, float* to);
void pack_vector(const float* values, int64_t channels, float* to);

}  // namespace mmhadaptive::cpu
