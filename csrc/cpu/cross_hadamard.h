// The operator on the CPU, with the threads of the caller. Neither it nor what it includes knows of
// a framework.
#pragma once

#include <cstdint>

#include "../core/cross_hadamard_call.h"
#include "parallel_for.h"

namespace mmhadaptive::cpu {

// Both throw a std::runtime_error where the index is out of range or selects a channel twice,
// before they read or write anything else. Results do not depend on the threads: the forward is
// told their number to give each a task.
void forward(const ForwardCall& call, int64_t threads, const ParallelFor& parallel_for);
void backward(const BackwardCall& call, const ParallelFor& parallel_for);

}  // namespace mmhadaptive::cpu
