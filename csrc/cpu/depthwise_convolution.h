// The depthwise convolution on the CPU, with the threads of the caller. Neither it nor what it
// includes knows of a framework.
#pragma once

#include "../core/depthwise_convolution_call.h"
#include "parallel_for.h"

namespace mmhadaptive::cpu {

// Results do not depend on the threads.
void depthwise_forward(const DepthwiseForwardCall& call, const ParallelFor& parallel_for);
void depthwise_backward(const DepthwiseBackwardCall& call, const ParallelFor& parallel_for);

}  // namespace mmhadaptive::cpu
