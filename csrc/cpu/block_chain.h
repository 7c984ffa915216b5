// Chains of fused blocks on the CPU.
#pragma once

#include "../core/block_chain_call.h"
#include "parallel_for.h"

namespace mmhadaptive::cpu {

// The maps that a chain gives. Throws a std::runtime_error that names what of the description or
// the sizes is wrong; the pointers of the maps are not read.
Maps checked_block_chain(const BlockChainCall& call);

// For a call that has been checked.
void block_chain_forward(const BlockChainCall& call, const ParallelFor& parallel_for);

}  // namespace mmhadaptive::cpu
