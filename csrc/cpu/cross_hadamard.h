// The operator on the CPU, with the threads of the caller. Neither it nor what it includes knows of
// a framework.
#pragma once

#include <cstdint>
#include <functional>

#include "../core/cross_hadamard_call.h"

namespace mmhadaptive::cpu {

using Body = std::function<void(int64_t begin, int64_t end)>;

// Calls the body for ranges that make up [0, size), each of at least `grain` unless it is the last,
// in any order and on any threads, and returns when all are done.
using ParallelFor = std::function<void(int64_t size, int64_t grain, const Body& body)>;

// Both throw a std::runtime_error where the index is out of range or selects a channel twice,
// before they read or write anything else. Results do not depend on the threads: the forward is
// told their number to give each a task.
void forward(const ForwardCall& call, int64_t threads, const ParallelFor& parallel_for);
void backward(const BackwardCall& call, const ParallelFor& parallel_for);

}  // namespace mmhadaptive::cpu
