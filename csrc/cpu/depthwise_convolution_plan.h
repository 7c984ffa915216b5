// How the host cuts the work.
#pragma once

#include <memory>

#include "depthwise_convolution_kernels.h"

namespace mmhadaptive::cpu {

// The backward goes through rows of x, all of dx of which it sums up at once, and the forward
// through rows of y. Either needs the rows of the other map that taps lead to.
DepthwisePlan forward_plan(const DepthwiseShape& shape, int64_t value_bytes);
DepthwisePlan backward_plan(const DepthwiseShape& shape, int64_t value_bytes);

// Tasks that a thread gets at least.
int64_t depthwise_grain(const DepthwisePlan& plan);

// Zeros for the scratch of a thread, aligned as vectors are.
class DepthwiseScratch {
 public:
  explicit DepthwiseScratch(size_t bytes) : bytes_(bytes + 64), memory_(new char[bytes_]()) {
  }

  void* data() const {
    void* aligned = memory_.get();
    size_t space = bytes_;
    return std::align(64, bytes_ - 64, aligned, space);
  }

 private:
  size_t bytes_;
  std::unique_ptr<char[]> memory_;
};

}  // namespace mmhadaptive::cpu
