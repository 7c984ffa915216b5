// CrossHadamard(x, index, gate?, alpha?, weight?, bias?; norm): the forward of the PyTorch operator
// on float32. Without a gate all are 1; with the norm "none" there are no alpha, weight and bias.
#pragma once

#include "../core/cross_hadamard.h"
#include "operator.h"

namespace mmhadaptive::onnxruntime {

class CrossHadamardKernel {
 public:
  explicit CrossHadamardKernel(Ort::ConstKernelInfo info);
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;

 private:
  void compute(const Ort::KernelContext& context) const;

  Norm norm_;
};

struct CrossHadamard : Operator<CrossHadamard, CrossHadamardKernel> {
  const char* GetName() const {
    return "CrossHadamard";
  }

  size_t GetInputTypeCount() const {
    return 6;
  }

  ONNXTensorElementDataType GetInputType(size_t number) const {
    return number == 1 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }

  OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(size_t number) const {
    return number < 2 ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
  }
};

}  // namespace mmhadaptive::onnxruntime
