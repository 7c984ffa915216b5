#include "fused_blocks.h"

#include "../cpu/block_chain.h"

namespace mmhadaptive::onnxruntime {

FusedBlocks::FusedBlocks(Ort::ConstKernelInfo info)
    : spec_(info.GetAttributes<int64_t>("spec")) {
  check(!spec_.empty() && spec_.size() % kSpecNumbers == 0, "spec must have ", kSpecNumbers,
        " numbers for every block, got ", spec_.size());
}

void FusedBlocks::compute(const Ort::KernelContext& context,
                          const cpu::ParallelFor& parallel_for) const {
  const Input<float> x(context, 0), packed(context, 1);
  check(x.sizes.size() == 4, "x must have 4 dimensions (N, C, H, W), got ", x.sizes.size());
  check(packed.sizes.size() == 1, "packed must have one dimension, got ", packed.sizes.size());
  BlockChainCall call{spec_.data(),
                      static_cast<int64_t>(spec_.size()) / kSpecNumbers,
                      packed.data,
                      packed.elements(),
                      {x.sizes[0], x.sizes[1], x.sizes[2], x.sizes[3]},
                      Layout::kPlanar,
                      x.data,
                      Layout::kPlanar,
                      nullptr};
  const Maps maps = cpu::checked_block_chain(call);
  Ort::UnownedValue y =
      context.GetOutput(0, {maps.batch, maps.channels, maps.height, maps.width});
  call.y = y.GetTensorMutableData<float>();
  cpu::block_chain_forward(call, parallel_for);
}

}  // namespace mmhadaptive::onnxruntime
