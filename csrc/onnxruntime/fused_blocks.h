// FusedBlocks(x, packed; spec): the PyTorch operator fused_blocks on NCHW tensors. It describes its
// blocks as core/block_chain_call.h says.
#pragma once

#include "operator.h"

namespace mmhadaptive::onnxruntime {

class FusedBlocksKernel {
 public:
  explicit FusedBlocksKernel(Ort::ConstKernelInfo info);
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;

 private:
  void compute(const Ort::KernelContext& context) const;

  Sizes spec_;
};

struct FusedBlocks : Operator<FusedBlocks, FusedBlocksKernel> {
  const char* GetName() const {
    return "FusedBlocks";
  }

  size_t GetInputTypeCount() const {
    return 2;
  }

  ONNXTensorElementDataType GetInputType(size_t) const {
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }
};

}  // namespace mmhadaptive::onnxruntime
