// How the host cuts the work.
#pragma once

#include <memory>
#include <vector>

#include "depthwise_convolution_kernels.h"

namespace mmhadaptive::cpu {

// Scratch maps of a thread, unless those of a single row are larger: they stay in the second-level
// cache.
constexpr int64_t kScratchBytes = 192 * 1024;

// A plan with the tables that it points to.
class HostPlan {
 public:
  HostPlan(HostPlan&&) = default;

  const DepthwisePlan& get() const {
    return plan_;
  }

  // The forward goes through rows of y; the backward through rows of x, all of dx of which it sums
  // up at once. Either needs the rows of the other map that taps lead to.
  static HostPlan forward(const DepthwiseShape& shape, int64_t value_bytes, Layout layout,
                          int64_t scratch_bytes = kScratchBytes);
  static HostPlan backward(const DepthwiseShape& shape, int64_t value_bytes);

 private:
  explicit HostPlan(const DepthwiseShape& shape);

  DepthwisePlan plan_;
  std::vector<RowTaps> row_taps_;
  std::vector<RowRange> band_rows_;
  std::vector<RowRange> tap_rows_;
};

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
