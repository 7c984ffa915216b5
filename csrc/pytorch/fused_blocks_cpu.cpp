// Chains of fused blocks on tensors: schema, checks, outputs, registration. The fake rule and the
// composition are in mmhadaptive/ops.
#include <torch/csrc/stable/library.h>

#include <vector>

#include "../cpu/block_chain.h"
#include "../cpu/bottleneck.h"
#include "cross_hadamard_depthwise.h"
#include "tensors.h"

namespace mmhadaptive {
namespace {

void parallel_for(int64_t size, int64_t grain, const cpu::Body& body) {
  torch::stable::parallel_for(0, size, grain, body);
}

struct Cpu {
  struct Guard {
    explicit Guard(const Tensor&) {
    }
  };

  static void cross_hadamard_depthwise(const CrossHadamardDepthwiseCall& call, const Tensor& x) {
    STD_TORCH_CHECK(x.scalar_type() == ScalarType::Float, "x must be float32 on the CPU");
    cpu::cross_hadamard_depthwise_forward(call, parallel_for);
  }
};

Tensor fused_blocks(const Tensor& x, const Tensor& packed, const std::vector<int64_t>& spec) {
  STD_TORCH_CHECK(x.dim() == 4, "x must have 4 dimensions (N, C, H, W), got ", x.dim());
  STD_TORCH_CHECK(x.scalar_type() == ScalarType::Float && packed.scalar_type() == ScalarType::Float,
                  "x and packed must be float32");
  STD_TORCH_CHECK(packed.dim() == 1 && packed.device() == x.device(),
                  "packed must have one dimension and be on the device of x");
  const auto numbers = static_cast<int64_t>(spec.size());
  STD_TORCH_CHECK(numbers > 0 && numbers % kSpecNumbers == 0, "spec must have ", kSpecNumbers,
                  " numbers for every block, got ", numbers);
  const MemoryFormat format = memory_format_of(x);
  const Tensor dense_x = torch::stable::contiguous(x, format);
  const Tensor dense_packed = torch::stable::contiguous(packed);
  BlockChainCall call{spec.data(),
                      numbers / kSpecNumbers,
                      dense_packed.const_data_ptr<float>(),
                      packed.numel(),
                      {x.size(0), x.size(1), x.size(2), x.size(3)},
                      format == MemoryFormat::ChannelsLast ? Layout::kInterleaved : Layout::kPlanar,
                      dense_x.const_data_ptr<float>(),
                      Layout::kInterleaved,
                      nullptr};
  const Maps maps = cpu::checked_block_chain(call);
  Tensor y = empty_like(x, {maps.batch, maps.channels, maps.height, maps.width},
                        MemoryFormat::ChannelsLast);
  call.y = y.mutable_data_ptr<float>();
  cpu::block_chain_forward(call, parallel_for);
  return y;
}

}  // namespace
}  // namespace mmhadaptive

STABLE_TORCH_LIBRARY_FRAGMENT(mmhadaptive, m) {
  m.def("fused_blocks(Tensor x, Tensor packed, int[] spec) -> Tensor");
  m.def(
      "cross_hadamard_depthwise(Tensor x, Tensor index, Tensor alpha, Tensor norm_weight, "
      "Tensor norm_bias, Tensor weight, Tensor bias, int stride, int padding, "
      "str norm='softsign', str activation='hardswish') -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(mmhadaptive, CPU, m) {
  m.impl("fused_blocks", TORCH_BOX(&mmhadaptive::fused_blocks));
  m.impl("cross_hadamard_depthwise",
         TORCH_BOX(&mmhadaptive::cross_hadamard_depthwise<mmhadaptive::Cpu>));
}
