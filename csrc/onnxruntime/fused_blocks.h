// FusedBlocks(x, packed; spec): the PyTorch operator fused_blocks on NCHW tensors. It describes its
// blocks as core/block_chain_call.h says.
#pragma once

#include "operator.h"

namespace mmhadaptive::onnxruntime {

class FusedBlocks {
 public:
  static constexpr const char* kName = "FusedBlocks";
  static constexpr InputInfo kInputs[] = {kFloats, kFloats};

  explicit FusedBlocks(Ort::ConstKernelInfo info);
  void compute(const Ort::KernelContext& context, const cpu::ParallelFor& parallel_for) const;

 private:
  Sizes spec_;
};

}  // namespace mmhadaptive::onnxruntime
