#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/headeronly/util/shim_utils.h>

#include "../cuda/cross_hadamard.h"
#include "../cuda/cross_hadamard_depthwise.h"
#include "cross_hadamard.h"
#include "cross_hadamard_depthwise.h"

namespace mmhadaptive {
namespace {

struct Cuda {
  struct Guard : torch::stable::accelerator::DeviceGuard {
    explicit Guard(const Tensor& x) : DeviceGuard(x.get_device_index()) {
    }
  };

  static void check(cudaError_t error, const char* what, int selected) {
    STD_TORCH_CHECK(error == cudaSuccess, "mmhadaptive, ", what, " with ", selected,
                    " selected channels: ", cudaGetErrorString(error));
  }

  static cudaStream_t stream(const Tensor& t) {
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(t.get_device_index(), &stream));
    return static_cast<cudaStream_t>(stream);
  }

  static int multiprocessors(const Tensor& t) {
    int count = 0;
    const cudaError_t error =
        cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, t.get_device_index());
    STD_TORCH_CHECK(error == cudaSuccess,
                    "mmhadaptive, device attribute: ", cudaGetErrorString(error));
    return count;
  }

  static void forward(const ForwardCall& call, const Tensor& x, Strategy strategy) {
    check(cuda::forward(call, strategy, multiprocessors(x), stream(x)), "forward",
          call.shape.selected);
  }

  static void cross_hadamard_depthwise(const CrossHadamardDepthwiseCall& call, const Tensor& x) {
    check(cuda::cross_hadamard_depthwise(call, stream(x)), "depthwise step", call.selected);
  }

  static void backward(const BackwardCall& call, const Tensor& x) {
    const int64_t tiles_per_block = cuda::tiles_per_block(call.shape, multiprocessors(x));
    const cuda::BackwardPlan plan = cuda::plan_backward(call.shape, tiles_per_block);
    const ScalarType type = accumulate_type(x);
    const Tensor selected_sums = empty_vector(x, plan.selected_sums, type);
    const Tensor pair_sums = empty_vector(x, plan.pair_sums, type);
    const Tensor alpha_parts = empty_vector(x, plan.alpha_parts, ScalarType::Double);
    const cuda::Scratch scratch{selected_sums.mutable_data_ptr(), pair_sums.mutable_data_ptr(),
                                alpha_parts.mutable_data_ptr<double>()};
    check(cuda::backward(call, plan, scratch, stream(x)), "backward", call.shape.selected);
  }
};

}  // namespace
}  // namespace mmhadaptive

// The schemas are in the CPU library, which is loaded before.
STABLE_TORCH_LIBRARY_IMPL(mmhadaptive, CUDA, m) {
  m.impl("cross_hadamard", TORCH_BOX(&mmhadaptive::forward<mmhadaptive::Cuda>));
  m.impl("cross_hadamard_backward", TORCH_BOX(&mmhadaptive::backward<mmhadaptive::Cuda>));
  m.impl("cross_hadamard_depthwise",
         TORCH_BOX(&mmhadaptive::cross_hadamard_depthwise<mmhadaptive::Cuda>));
}
