#include "backward_kernels.cuh"
#include "cross_hadamard.h"
#include "launch.cuh"

namespace mmhadaptive::cuda {
namespace {

constexpr int kFinishThreads = 256;
// Blocks of the backward for each multiprocessor: each holds sums for all products, which are
// written and read once more, so it is not one block a tile.
constexpr int kBlocksPerMultiprocessor = 8;

// float64 takes twice the shared memory for every copy of d z.
template <class T>
constexpr int warps_of() {
  return sizeof(T) == 8 ? 2 : 4;
}

template <class T, Norm norm, bool interleaved>
void launch_backward(const Backward<T>& op, unsigned blocks, cudaStream_t stream) {
  using A = typename AccumulateOf<T>::type;
  constexpr int warps = warps_of<T>();
  const BackwardShared<A> shared(nullptr, op.shape.selected, op.shape.pairs, op.shape.channels,
                                 warps, interleaved);
  launch(backward_tiled<T, norm, interleaved, warps>, dim3(blocks), dim3(warps * kLanes),
         shared.bytes, stream, op);
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> backward(
    const Tensor& dy_, const Tensor& x_, const Tensor& index, const Tensor& gate,
    const OptionalTensor& alpha, const OptionalTensor& weight, const std::string& norm_name,
    bool need_x, bool need_gate, bool need_alpha, bool need_weight, bool need_bias) {
  const Norm norm = parse_norm(norm_name);
  check_tensors(x_, index, gate);
  const Shape shape = shape_of(x_, index);
  check_parameter("alpha", alpha, 1, norm, x_);
  check_parameter("weight", weight, shape.pairs, norm, x_);
  check_gradient(dy_, x_, shape.pairs);
  const torch::stable::accelerator::DeviceGuard guard(x_.get_device_index());
  const MemoryFormat format = memory_format_of(x_);
  const bool interleaved = format == MemoryFormat::ChannelsLast;
  const Tensor x = with_format(x_, format);
  const Tensor dy = with_format(dy_, format);
  const SmallTensors small(index, gate, alpha, weight, std::nullopt);
  const ScalarType type = accumulate_type(x);

  Tensor dx = need_x ? empty_like(x, {shape.batch, shape.channels, x.size(2), x.size(3)}, format)
                     : empty_vector(x, 0, x.scalar_type());
  Tensor dgate =
      need_gate ? torch::stable::new_empty(gate, gate.sizes()) : empty_vector(x, 0, type);
  Tensor dalpha = empty_vector(x, need_alpha ? 1 : 0, type);
  Tensor dweight = empty_vector(x, need_weight ? shape.pairs : 0, type);
  Tensor dbias = empty_vector(x, need_bias ? shape.pairs : 0, type);

  const int64_t tiles = ceil_divide<int64_t>(shape.pixels, kLanes);
  const int64_t all_tiles = shape.batch * tiles;
  const int64_t most_blocks = int64_t{kBlocksPerMultiprocessor} * multiprocessors(x);
  const int64_t tiles_per_block = std::max<int64_t>(1, ceil_divide(all_tiles, most_blocks));
  const int64_t blocks = ceil_divide(all_tiles, tiles_per_block);
  const int64_t selected = shape.batch * shape.selected;
  const int64_t alpha_parts = ceil_divide<int64_t>(selected, kFinishThreads);
  Tensor selected_sums = empty_vector(x, all_tiles * shape.selected, type);
  Tensor pair_sums = empty_vector(x, blocks * 2 * shape.pairs, type);
  Tensor dalpha_parts = empty_vector(x, alpha_parts, ScalarType::Double);

  const cudaStream_t stream = current_stream(x);
  with_element(x.scalar_type(), [&](auto element) {
    using T = typename decltype(element)::type;
    using A = typename AccumulateOf<T>::type;
    const auto pointer = [](bool needed, const Tensor& t) {
      return needed ? static_cast<A*>(t.mutable_data_ptr()) : nullptr;
    };
    const Backward<T> op{shape,
                         small.parameters<A>(),
                         input_of<T>(x, format),
                         input_of<T>(dy, format),
                         need_x ? static_cast<T*>(dx.mutable_data_ptr()) : nullptr,
                         pointer(true, selected_sums),
                         pointer(true, pair_sums),
                         tiles,
                         tiles_per_block};
    if (blocks > 0) {
      with_norm(norm, [&](auto constant) {
        constexpr Norm kNorm = decltype(constant)::value;
        interleaved ? launch_backward<T, kNorm, true>(op, static_cast<unsigned>(blocks), stream)
                    : launch_backward<T, kNorm, false>(op, static_cast<unsigned>(blocks), stream);
      });
    }
    if (selected > 0) {
      launch(finish_selected<A>, dim3(static_cast<unsigned>(alpha_parts)), dim3(kFinishThreads), 0,
             stream, op.selected_sums, op.parameters.gate, op.parameters.alpha, tiles, selected,
             shape.selected, pointer(need_gate, dgate),
             static_cast<double*>(dalpha_parts.mutable_data_ptr()));
    }
    const auto columns = static_cast<unsigned>(ceil_divide(2 * shape.pairs, kLanes));
    launch(finish_pairs<A>, dim3(columns + 1), dim3(kFinishThreads), 0, stream, op.pair_sums,
           blocks, shape.pairs, static_cast<const double*>(dalpha_parts.const_data_ptr()),
           alpha_parts, pointer(need_weight, dweight), pointer(need_bias, dbias),
           pointer(need_alpha, dalpha));
  });
  return {dx, dgate, dalpha, dweight, dbias};
}

}  // namespace mmhadaptive::cuda
