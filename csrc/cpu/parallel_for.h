// How the operators are given the threads of the caller.
#pragma once

#include <cstdint>
#include <functional>

namespace mmhadaptive::cpu {

// Elements that one thread gets at least; as at::internal::GRAIN_SIZE.
constexpr int64_t kGrain = 32768;

using Body = std::function<void(int64_t begin, int64_t end)>;

// Calls the body for ranges that make up [0, size), each of at least `grain` unless it is the last,
// in any order and on any threads, and returns when all are done.
using ParallelFor = std::function<void(int64_t size, int64_t grain, const Body& body)>;

}  // namespace mmhadaptive::cpu
