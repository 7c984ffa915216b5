// What the operators share: errors, threads and shapes, by ONNX Runtime's C++ API.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "../core/common.h"
#include "../cpu/parallel_for.h"

namespace mmhadaptive::onnxruntime {

using Sizes = std::vector<int64_t>;

// No exception may reach ONNX Runtime: it takes them as the status that the body ends with.
template <class Body>
OrtStatusPtr status_of(const Body& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const Ort::Exception& error) {
    return Ort::Status(error).release();
  } catch (const std::exception& error) {
    return Ort::Status(error.what(), ORT_INVALID_ARGUMENT).release();
  }
}

template <class... Parts>
void check(bool holds, const Parts&... parts) {
  if (!holds) {
    std::ostringstream message;
    (message << "mmhadaptive: " << ... << parts);
    throw std::runtime_error(message.str());
  }
}

// Those of the session, which are to be `threads`: each gets one part, for a part reads all weights
// anew. No body may throw.
inline cpu::ParallelFor parallel_for(const Ort::KernelContext& context, int64_t threads) {
  return [&context, threads](int64_t size, int64_t grain, const cpu::Body& body) {
    struct Work {
      int64_t size;
      int64_t grain;
      const cpu::Body& body;
    } work{size, std::max(grain, divide_up(size, threads)), body};
    const int64_t parts = divide_up(size, work.grain);
    if (parts == 1) {
      body(0, size);
    }
    if (parts <= 1) {
      return;
    }
    const auto run = [](void* data, size_t part) {
      const Work& work = *static_cast<Work*>(data);
      const int64_t begin = static_cast<int64_t>(part) * work.grain;
      work.body(begin, begin + work.grain < work.size ? begin + work.grain : work.size);
    };
    context.ParallelFor(run, static_cast<size_t>(parts), 0, &work);
  };
}

// An input that is dense in memory, as all of ONNX Runtime's are; or none, which is empty.
template <class T>
struct Input {
  const T* data = nullptr;
  Sizes sizes;

  Input(const Ort::KernelContext& context, size_t number) {
    if (number < context.GetInputCount()) {
      if (const Ort::ConstValue value = context.GetInput(number)) {
        data = value.GetTensorData<T>();
        sizes = value.GetTensorTypeAndShapeInfo().GetShape();
      }
    }
  }

  bool given() const {
    return data != nullptr;
  }

  int64_t elements() const {
    int64_t product = 1;
    for (const int64_t size : sizes) {
      product *= size;
    }
    return product;
  }
};

// An input of an operator, as ONNX Runtime asks for it.
struct InputInfo {
  ONNXTensorElementDataType type;
  OrtCustomOpInputOutputCharacteristic characteristic;
};

constexpr InputInfo kFloats{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_REQUIRED};
constexpr InputInfo kFloatsOrNone{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_OPTIONAL};
constexpr InputInfo kIndices{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, INPUT_OUTPUT_REQUIRED};

// Of one node: an Op, made from its attributes.
template <class Op>
class Kernel {
 public:
  Kernel(Ort::ConstKernelInfo info, int64_t threads) : op_(info), threads_(threads) {
  }

  OrtStatusPtr ComputeV2(OrtKernelContext* node) const {
    return status_of([&] {
      const Ort::KernelContext context(node);
      op_.compute(context, parallel_for(context, threads_));
    });
  }

 private:
  Op op_;
  int64_t threads_;
};

// An operator with one output of floats: Op has its kName, its kInputs, and computes.
template <class Op>
class Operator : public Ort::CustomOpBase<Operator<Op>, Kernel<Op>, true> {
 public:
  explicit Operator(int64_t threads) : threads_(threads) {
  }

  OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo* info, void** kernel) const {
    return status_of([&] { *kernel = new Kernel<Op>(Ort::ConstKernelInfo(info), threads_); });
  }

  const char* GetName() const {
    return Op::kName;
  }

  size_t GetInputTypeCount() const {
    return std::size(Op::kInputs);
  }

  ONNXTensorElementDataType GetInputType(size_t number) const {
    return Op::kInputs[number].type;
  }

  OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(size_t number) const {
    return Op::kInputs[number].characteristic;
  }

  size_t GetOutputTypeCount() const {
    return 1;
  }

  ONNXTensorElementDataType GetOutputType(size_t) const {
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }

 private:
  int64_t threads_;
};

}  // namespace mmhadaptive::onnxruntime
