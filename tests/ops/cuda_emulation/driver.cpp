// The CUDA kernels as C functions on host memory, launched with the plans of
// the real operator.
#include "emulation.h"

#include <algorithm>

#include "../../../csrc/cuda/cross_hadamard_backward_kernels.cuh"
#include "../../../csrc/cuda/cross_hadamard_depthwise_kernels.cuh"
#include "../../../csrc/cuda/cross_hadamard_forward_kernels.cuh"
#include "../../../csrc/cuda/cross_hadamard_plan.h"

namespace {

using namespace mmhadaptive;
using namespace mmhadaptive::cuda;

constexpr int kWarps = 4;

struct Arguments {
  int64_t batch, channels, pixels, selected;
  int64_t interleaved, norm, multiprocessors;
  int64_t x_batch_stride, x_row_stride, dy_batch_stride, dy_row_stride;
  int64_t tiles_per_block, most_blocks;
  const int64_t *index;
  const float *gate, *alpha, *weight, *bias;
  const char *strategy;
};

struct DepthwiseArguments {
  int64_t batch, channels, height, width, selected;
  int64_t kernel, stride, padding, interleaved, norm, activation;
  const int64_t *index;
  const float *alpha, *norm_weight, *norm_bias, *weight, *bias;
};

Strategy strategy_of(const Arguments &a) {
  for (const NamedStrategy &known : kStrategies) {
    if (std::strcmp(known.name, a.strategy) == 0) {
      return known.strategy;
    }
  }
  std::abort();
}

Shape shape_of(const Arguments &a) {
  const int k = static_cast<int>(a.selected);
  return {a.batch, a.channels, a.pixels, k, pair_count(k)};
}

AnyNorm any_norm(const Arguments &a) { return {static_cast<Norm>(a.norm)}; }

Parameters<float> parameters_of(const Arguments &a) {
  return {a.index, a.gate, a.alpha, a.weight, a.bias};
}

template <class T, int width, class NormOf>
void tiled_interleaved(const Forward<T> &op, NormOf norm,
                       const ForwardPlan &plan) {
  if constexpr (width > 1) {
    if (plan.width < width) {
      return tiled_interleaved<T, width / 2>(op, norm, plan);
    }
  }
  emulation::launch(forward_tiled_interleaved<T, width, NormOf>,
                    {plan.grid_x, plan.grid_y, plan.grid_z},
                    {kForwardThreads, 1, 1}, plan.shared_bytes, op, norm,
                    plan.tile);
}

template <class T, class NormOf>
void forward(const Arguments &a, NormOf norm, const T *x, T *y) {
  constexpr int kFull = 16 / sizeof(T);
  const Forward<T> op{
      shape_of(a), parameters_of(a), {x, a.x_batch_stride, a.x_row_stride}, y};
  const ForwardSize size{op.shape, sizeof(T), sizeof(float),
                         sizeof(PairEntry<float>),
                         static_cast<int>(a.multiprocessors)};
  const Strategy strategy = strategy_of(a);
  // Fewer threads than elements in every direction where their number is free,
  // so that all loops go round.
  if (strategy == Strategy::kElementwise) {
    emulation::launch(forward_elementwise<T>, {2, 3, 2}, {32, 2, 1}, 0, op,
                      a.interleaved != 0, any_norm(a));
  } else if (strategy != Strategy::kTiled) {
    auto *kernel = strategy == Strategy::kParity ? forward_blocks<T, true>
                                                 : forward_blocks<T, false>;
    const unsigned blocks = std::min(blocks_per_image(op.shape, strategy),
                                     static_cast<unsigned>(a.most_blocks));
    emulation::launch(kernel, {blocks, 2, 1}, {32, 1, 1}, 0, op,
                      a.interleaved != 0, any_norm(a));
  } else if (a.interleaved) {
    tiled_interleaved<T, kFull>(op, norm, plan_interleaved(size));
  } else {
    const ForwardPlan plan = plan_planar(size);
    auto *kernel = plan.width == kFull ? forward_tiled_planar<T, kFull, NormOf>
                                       : forward_tiled_planar<T, 1, NormOf>;
    emulation::launch(kernel, {plan.grid_x, plan.grid_y, plan.grid_z},
                      {kForwardThreads, 1, 1}, plan.shared_bytes, op, norm,
                      plan.tile, plan.channels_per_block);
  }
}

template <class T, class NormOf>
void backward(const Arguments &a, NormOf norm, const T *x, const T *dy, T *dx,
              float *dgate, float *dalpha, float *dweight, float *dbias) {
  const Shape shape = shape_of(a);
  const BackwardPlan plan = plan_backward(shape, a.tiles_per_block);
  const auto blocks = static_cast<unsigned>(plan.blocks);
  const auto parts = static_cast<unsigned>(plan.alpha_parts);
  std::vector<float> selected_sums(plan.selected_sums, NAN);
  std::vector<float> pair_sums(plan.pair_sums, NAN);
  std::vector<double> alpha_parts(plan.alpha_parts, NAN);
  const Backward<T> op{shape,
                       parameters_of(a),
                       {x, a.x_batch_stride, a.x_row_stride},
                       {dy, a.dy_batch_stride, a.dy_row_stride},
                       dx,
                       selected_sums.data(),
                       pair_sums.data(),
                       plan.tiles,
                       plan.tiles_per_block};
  const BackwardShared<float> shared(nullptr, shape.selected, shape.pairs,
                                     shape.channels, kWarps,
                                     a.interleaved != 0);
  emulation::launch(backward_tiled<T, kWarps, NormOf>, {blocks, 1, 1},
                    {kWarps * kLanes, 1, 1}, shared.bytes, op,
                    a.interleaved != 0, norm);
  emulation::launch(finish_selected<float>, {parts, 1, 1},
                    {kFinishThreads, 1, 1}, 0, selected_sums.data(), a.gate,
                    a.alpha, plan.tiles, a.batch * a.selected, shape.selected,
                    dgate, alpha_parts.data());
  const auto columns =
      static_cast<unsigned>(divide_up(2 * shape.pairs, kLanes));
  emulation::launch(finish_pairs<float>, {columns + 1, 1, 1},
                    {kFinishThreads, 1, 1}, 0, pair_sums.data(), plan.blocks,
                    shape.pairs, alpha_parts.data(), plan.alpha_parts, dweight,
                    dbias, dalpha);
}

template <class T>
void depthwise(const DepthwiseArguments &a, const T *x, T *y) {
  const int k = static_cast<int>(a.selected), pairs = pair_count(k);
  CrossHadamardDepthwiseCall call{};
  call.shape = {a.batch,
                a.channels,
                a.height,
                a.width,
                static_cast<int>(a.kernel),
                static_cast<int>(a.stride),
                static_cast<int>(a.padding)};
  call.pairs = pairs;
  call.layout = a.interleaved ? Layout::kInterleaved : Layout::kPlanar;
  const int64_t pixels = a.height * a.width;
  const ExpandOp<T> op{call.shape,
                       k,
                       pairs,
                       a.index,
                       a.alpha,
                       a.norm_weight,
                       a.norm_bias,
                       a.weight,
                       a.bias,
                       static_cast<Activation>(a.activation),
                       {x, a.channels * pixels, a.interleaved ? a.channels : pixels},
                       y,
                       a.interleaved != 0};
  ExpandPlan plan = plan_expand(call);
  // Blocks take turns with the images where there are more than a grid has.
  plan.grid_z = std::min(plan.grid_z, 2u);
  const ExpandShared<float> shared(nullptr, plan, call.shape.kernel);
  // Fewer threads than in the real launch, so that all loops go round.
  emulation::launch(cross_hadamard_depthwise_tiled<T>,
                    {plan.grid_x, plan.grid_y, plan.grid_z}, {64, 1, 1},
                    shared.bytes, op, AnyNorm{static_cast<Norm>(a.norm)}, plan);
}

// Both kinds of kernels: for one normalisation and for any.
template <class Body> void with_norm(const Arguments &a, const Body &body) {
  if (any_norm(a).norm == Norm::kSoftsign) {
    body(FixedNorm<Norm::kSoftsign>{});
  } else {
    body(any_norm(a));
  }
}

template <class T> void forward_by_norm(const Arguments &a, const T *x, T *y) {
  with_norm(a, [&](auto norm) { forward(a, norm, x, y); });
}

template <class T, class... Rest>
void backward_by_norm(const Arguments &a, Rest... rest) {
  with_norm(a, [&](auto norm) { backward<T>(a, norm, rest...); });
}

} // namespace

extern "C" {

void forward_float(const Arguments *a, const float *x, float *y) {
  forward_by_norm(*a, x, y);
}
void forward_bfloat16(const Arguments *a, const __nv_bfloat16 *x,
                      __nv_bfloat16 *y) {
  forward_by_norm(*a, x, y);
}
void backward_float(const Arguments *a, const float *x, const float *dy,
                    float *dx, float *dgate, float *dalpha, float *dweight,
                    float *dbias) {
  backward_by_norm<float>(*a, x, dy, dx, dgate, dalpha, dweight, dbias);
}
void backward_bfloat16(const Arguments *a, const __nv_bfloat16 *x,
                       const __nv_bfloat16 *dy, __nv_bfloat16 *dx, float *dgate,
                       float *dalpha, float *dweight, float *dbias) {
  backward_by_norm<__nv_bfloat16>(*a, x, dy, dx, dgate, dalpha, dweight, dbias);
}

void depthwise_float(const DepthwiseArguments *a, const float *x, float *y) {
  depthwise(*a, x, y);
}
void depthwise_bfloat16(const DepthwiseArguments *a, const __nv_bfloat16 *x,
                        __nv_bfloat16 *y) {
  depthwise(*a, x, y);
}

} // extern "C"
