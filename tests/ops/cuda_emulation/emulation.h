// As much of CUDA as the kernels use, on the CPU: the threads of a block are
// fibers that take turns at barriers and shuffles, and blocks run one after the
// other. A race shows as a wrong result only by luck, a wrong index or a missed
// element for sure.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

// These define the keywords that are redefined below.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#undef __device__
#undef __host__
#undef __global__
#undef __shared__
#undef __forceinline__
#undef __launch_bounds__
#define __device__
#define __host__
#define __global__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define MMHADAPTIVE_DYNAMIC_SHARED(name)                                       \
  unsigned char *name = emulation::block->shared.get()

struct Index3 {
  unsigned x = 0;
  unsigned y = 0;
  unsigned z = 0;
};

inline Index3 threadIdx, blockIdx, blockDim, gridDim;

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline long long min(long long a, long long b) { return a < b ? a : b; }

namespace emulation {

constexpr int kWarp = 32;
constexpr size_t kStackBytes = 64 * 1024;

// Passed by all of `size` fibers or by none.
struct Barrier {
  int size = 0;
  int arrived = 0;
  int64_t generation = 0;
};

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  Index3 index;
  int linear = 0;
  bool done = false;
};

struct Block {
  std::vector<Fiber> fibers;
  ucontext_t scheduler;
  Fiber *current = nullptr;
  Barrier barrier;
  std::vector<Barrier> warp_barriers;
  std::vector<double> exchanged;
  std::unique_ptr<unsigned char[]> shared;
  std::function<void()> kernel;
};

inline Block *block = nullptr;

inline void yield() {
  swapcontext(&block->current->context, &block->scheduler);
}

inline void wait(Barrier &barrier) {
  const int64_t generation = barrier.generation;
  if (++barrier.arrived == barrier.size) {
    barrier.arrived = 0;
    ++barrier.generation;
    return;
  }
  while (barrier.generation == generation) {
    yield();
  }
}

inline void run_fiber() {
  block->kernel();
  block->current->done = true;
  yield();
}

inline void run_block() {
  const int threads = static_cast<int>(block->fibers.size());
  block->barrier = {threads};
  block->warp_barriers.assign((threads + kWarp - 1) / kWarp, {});
  for (int t = 0; t < threads; ++t) {
    Fiber &fiber = block->fibers[t];
    fiber.done = false;
    fiber.linear = t;
    fiber.index = {t % blockDim.x, t / blockDim.x % blockDim.y,
                   t / (blockDim.x * blockDim.y)};
    block->warp_barriers[t / kWarp].size++;
    getcontext(&fiber.context);
    fiber.context.uc_stack = {fiber.stack.get(), 0, kStackBytes};
    makecontext(&fiber.context, run_fiber, 0);
  }
  // A fiber that has ended no longer comes to barriers; the kernels never leave
  // early.
  for (int64_t running = threads, turns = 0; running > 0; ++turns) {
    if (turns > 10'000'000) {
      std::fputs("emulation: the block is stuck at a barrier\n", stderr);
      std::abort();
    }
    running = 0;
    for (Fiber &fiber : block->fibers) {
      if (!fiber.done) {
        block->current = &fiber;
        threadIdx = fiber.index;
        swapcontext(&block->scheduler, &fiber.context);
        running += !fiber.done;
      }
    }
  }
}

template <class Kernel, class... Arguments>
void launch(Kernel kernel, Index3 grid, Index3 threads, size_t shared_bytes,
            Arguments... arguments) {
  Block state;
  block = &state;
  gridDim = grid;
  blockDim = threads;
  const unsigned count = threads.x * threads.y * threads.z;
  state.fibers = std::vector<Fiber>(count);
  state.exchanged.resize(count);
  state.kernel = [&] { kernel(arguments...); };
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = {x, y, z};
        // Bytes of ones are NaNs: what is read before it is written shows. The
        // exact size lets a sanitizer see what is beyond it.
        state.shared.reset(new unsigned char[shared_bytes]);
        std::memset(state.shared.get(), 0xff, shared_bytes);
        run_block();
      }
    }
  }
  block = nullptr;
}

} // namespace emulation

inline void __syncthreads() { emulation::wait(emulation::block->barrier); }

template <class T> T __shfl_xor_sync(unsigned, T value, int mask) {
  auto &block = *emulation::block;
  const int linear = block.current->linear;
  auto &barrier = block.warp_barriers[linear / emulation::kWarp];
  block.exchanged[linear] = value;
  emulation::wait(barrier);
  const T other = static_cast<T>(block.exchanged[linear ^ mask]);
  emulation::wait(barrier);
  return other;
}
