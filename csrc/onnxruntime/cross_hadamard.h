// CrossHadamard(x, index, gate?, alpha?, weight?, bias?; norm): the forward of the PyTorch operator
// on float32. Without a gate all are 1; with the norm "none" there are no alpha, weight and bias.
#pragma once

#include "../core/cross_hadamard.h"
#include "operator.h"

namespace mmhadaptive::onnxruntime {

class CrossHadamard {
 public:
  static constexpr const char* kName = "CrossHadamard";
  static constexpr InputInfo kInputs[] = {kFloats,       kIndices,      kFloatsOrNone,
                                          kFloatsOrNone, kFloatsOrNone, kFloatsOrNone};

  explicit CrossHadamard(Ort::ConstKernelInfo info);
  void compute(const Ort::KernelContext& context, const cpu::ParallelFor& parallel_for) const;

 private:
  Norm norm_;
};

}  // namespace mmhadaptive::onnxruntime
