#include "cross_hadamard.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "kernels.h"

namespace mmhadaptive::cpu {
namespace {

// Elements that one thread gets at least; as at::internal::GRAIN_SIZE.
constexpr int64_t kGrain = 32768;
// The backward's sums over the batch are kept for this many groups of tiles at most.
constexpr int64_t kMaxGroups = 64;
// With fewer tasks than this, images are cut into smaller tiles in the backward, so that threads
// can share them. The number of threads itself must not matter there, as tiles decide what is
// summed up first. The forward sums nothing and asks for a task a thread.
constexpr int64_t kBackwardTasks = 4;
// Smaller tiles than this many pixels cost more than they bring.
constexpr int64_t kMinTile = 64;

int64_t ceil_divide(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// The widest kernels that the machine runs; ATEN_CPU_CAPABILITY lowers them as it does torch's.
const Kernels& kernels() {
#if defined(__x86_64__)
  static const Kernels& chosen = []() -> const Kernels& {
    const char* variable = std::getenv("ATEN_CPU_CAPABILITY");
    const std::string_view limit = variable == nullptr ? "avx512" : variable;
    if (limit == "default") {
      return kernels_baseline;
    }
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("f16c");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (avx512 && limit != "avx2") {
      return kernels_avx512;
    }
    return avx2 ? kernels_avx2 : kernels_baseline;
  }();
  return chosen;
#else
  return kernels_baseline;
#endif
}

Element element_of(const Tensor& x) {
  switch (x.scalar_type()) {
    case ScalarType::Double:
      return Element::kDouble;
    case ScalarType::BFloat16:
      return Element::kBFloat16;
    case ScalarType::Half:
      return Element::kHalf;
    default:
      return Element::kFloat;
  }
}

void check_index(const int64_t* index, int64_t batch, int64_t k, int64_t channels) {
  std::vector<int64_t> seen_in(channels, -1);
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t s = 0; s < k; ++s) {
      const int64_t c = index[n * k + s];
      STD_TORCH_CHECK(c >= 0 && c < channels, "index[", n, ", ", s, "] is ", c, ", outside of the ",
                      channels, " channels of x");
      STD_TORCH_CHECK(seen_in[c] != n, "index[", n, "] selects channel ", c, " more than once");
      seen_in[c] = n;
    }
  }
}

Shape shape_of(const Tensor& x, int64_t k, int64_t tasks) {
  Shape shape{};
  shape.batch = x.size(0);
  shape.channels = x.size(1);
  shape.pixels = x.size(2) * x.size(3);
  shape.selected = static_cast<int>(k);
  shape.pairs = pair_count(shape.selected);
  const int64_t tiles_wanted = ceil_divide(tasks, std::max<int64_t>(shape.batch, 1));
  const int64_t tiles = std::max({int64_t{1}, ceil_divide(shape.pixels, kMaxTile),
                                  std::min(tiles_wanted, ceil_divide(shape.pixels, kMinTile))});
  shape.tile = std::max<int64_t>(1, ceil_divide(ceil_divide(shape.pixels, tiles), 16)) * 16;
  return shape;
}

Input input_of(const Tensor& t, MemoryFormat format) {
  return {t.const_data_ptr(), t.stride(0), row_stride(t, format)};
}

Layout layout_of(MemoryFormat format) {
  return format == MemoryFormat::ChannelsLast ? Layout::kInterleaved : Layout::kPlanar;
}

// Contiguous, and stand-ins where there is no normalisation. Owns what `parameters` points to.
struct SmallTensors {
  Tensor index;
  Tensor gate;
  Tensor weight;
  Tensor bias;
  Parameters parameters;

  SmallTensors(const Tensor& index, const Tensor& gate, const OptionalTensor& alpha,
               const OptionalTensor& weight, const OptionalTensor& bias, int64_t pairs)
      : index(torch::stable::contiguous(index)),
        gate(torch::stable::contiguous(gate)),
        weight(or_filled(weight, gate, pairs, 1)),
        bias(or_filled(bias, gate, pairs, 0)) {
    parameters.index = this->index.const_data_ptr<int64_t>();
    parameters.gate = this->gate.const_data_ptr();
    parameters.weight = this->weight.const_data_ptr();
    parameters.bias = this->bias.const_data_ptr();
    parameters.alpha = 1;
    if (alpha.has_value()) {
      parameters.alpha = alpha->scalar_type() == ScalarType::Double
                             ? *alpha->const_data_ptr<double>()
                             : *alpha->const_data_ptr<float>();
    }
  }

  static Tensor or_filled(const OptionalTensor& t, const Tensor& like, int64_t size, double value) {
    return t.has_value() ? torch::stable::contiguous(*t)
                         : torch::stable::full({&size, 1}, value, like.scalar_type());
  }
};

template <class A>
void finish_selected(const Backward& op, A* dgate, A* dalpha) {
  const int64_t k = op.shape.selected;
  const auto* sums = static_cast<const A*>(op.selected_sums);
  const auto* gate = static_cast<const A*>(op.parameters.gate);
  double twice_dalpha = 0;
  for (int64_t n = 0; n < op.shape.batch; ++n) {
    for (int64_t s = 0; s < k; ++s) {
      A sum = 0;
      for (int64_t tile = 0; tile < op.shape.tiles(); ++tile) {
        sum += sums[(n * op.shape.tiles() + tile) * k + s];
      }
      // Each product contributes to d alpha once and to the sums of its two channels.
      twice_dalpha += static_cast<double>(sum) * gate[n * k + s];
      if (dgate != nullptr) {
        dgate[n * k + s] = static_cast<A>(op.parameters.alpha) * sum;
      }
    }
  }
  if (dalpha != nullptr) {
    *dalpha = static_cast<A>(twice_dalpha / 2);
  }
}

template <class A>
void finish_pairs(const A* sums, int64_t groups, int64_t stride, int64_t pairs, A* total) {
  std::fill_n(total, pairs, A(0));
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t p = 0; p < pairs; ++p) {
      total[p] += sums[group * stride + p];
    }
  }
}

}  // namespace

Tensor forward(const Tensor& x_, const Tensor& index, const Tensor& gate,
               const OptionalTensor& alpha, const OptionalTensor& weight,
               const OptionalTensor& bias, const std::string& norm_name,
               const std::string& strategy) {
  const Norm norm = parse_norm(norm_name);
  check_strategy(strategy);
  check_tensors(x_, index, gate);
  const Shape shape = shape_of(x_, index.size(1), torch::stable::get_num_threads());
  check_parameter("alpha", alpha, 1, norm, x_);
  check_parameter("weight", weight, shape.pairs, norm, x_);
  check_parameter("bias", bias, shape.pairs, norm, x_);
  const MemoryFormat format = memory_format_of(x_);
  const Tensor x = with_format(x_, format);
  const SmallTensors small(index, gate, alpha, weight, bias, shape.pairs);
  check_index(small.parameters.index, shape.batch, shape.selected, shape.channels);

  Tensor y =
      empty_like(x, {shape.batch, shape.channels + shape.pairs, x.size(2), x.size(3)}, format);
  if (y.numel() == 0) {
    return y;
  }
  Forward op{shape, small.parameters, input_of(x, format), y.mutable_data_ptr()};
  const ForwardKernel kernel = kernels().forward(element_of(x), norm, layout_of(format));
  const int64_t task_size = shape.tile * (shape.channels + shape.pairs);
  torch::stable::parallel_for(0, shape.batch * shape.tiles(), ceil_divide(kGrain, task_size),
                              [&](int64_t begin, int64_t end) { kernel(op, begin, end); });
  return y;
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> backward(
    const Tensor& dy_, const Tensor& x_, const Tensor& index, const Tensor& gate,
    const OptionalTensor& alpha, const OptionalTensor& weight, const std::string& norm_name,
    bool need_x, bool need_gate, bool need_alpha, bool need_weight, bool need_bias) {
  const Norm norm = parse_norm(norm_name);
  check_tensors(x_, index, gate);
  const Shape shape = shape_of(x_, index.size(1), kBackwardTasks);
  check_parameter("alpha", alpha, 1, norm, x_);
  check_parameter("weight", weight, shape.pairs, norm, x_);
  check_gradient(dy_, x_, shape.pairs);
  const MemoryFormat format = memory_format_of(x_);
  const Tensor x = with_format(x_, format);
  const Tensor dy = with_format(dy_, format);
  const SmallTensors small(index, gate, alpha, weight, std::nullopt, shape.pairs);
  check_index(small.parameters.index, shape.batch, shape.selected, shape.channels);

  const ScalarType type = accumulate_type(x);
  const int64_t tasks = shape.batch * shape.tiles();
  const int64_t tiles_per_group = std::max<int64_t>(1, ceil_divide(tasks, kMaxGroups));
  const int64_t groups = ceil_divide(tasks, tiles_per_group);
  Tensor dx = need_x ? empty_like(x, {shape.batch, shape.channels, x.size(2), x.size(3)}, format)
                     : empty_vector(x, 0, x.scalar_type());
  Tensor dgate =
      need_gate ? torch::stable::new_empty(gate, gate.sizes()) : empty_vector(x, 0, type);
  Tensor dalpha = empty_vector(x, need_alpha ? 1 : 0, type);
  Tensor dweight = empty_vector(x, need_weight ? shape.pairs : 0, type);
  Tensor dbias = empty_vector(x, need_bias ? shape.pairs : 0, type);
  Tensor selected_sums = empty_vector(x, tasks * shape.selected, type);
  Tensor pair_sums = empty_vector(x, groups * 2 * shape.pairs, type);

  const Backward op{shape,
                    small.parameters,
                    input_of(x, format),
                    input_of(dy, format),
                    need_x ? dx.mutable_data_ptr() : nullptr,
                    selected_sums.mutable_data_ptr(),
                    pair_sums.mutable_data_ptr(),
                    tiles_per_group};
  if (tasks > 0) {
    const BackwardKernel kernel = kernels().backward(element_of(x), norm, layout_of(format));
    const int64_t group_size = tiles_per_group * shape.tile * (shape.channels + shape.pairs);
    torch::stable::parallel_for(0, groups, ceil_divide(kGrain, group_size),
                                [&](int64_t begin, int64_t end) { kernel(op, begin, end); });
  }

  const auto finish = [&](auto zero) {
    using A = decltype(zero);
    finish_selected<A>(op, need_gate ? dgate.mutable_data_ptr<A>() : nullptr,
                       need_alpha ? dalpha.mutable_data_ptr<A>() : nullptr);
    const auto* sums = static_cast<const A*>(op.pair_sums);
    if (need_weight) {
      finish_pairs(sums, groups, 2 * shape.pairs, shape.pairs, dweight.mutable_data_ptr<A>());
    }
    if (need_bias) {
      finish_pairs(sums + shape.pairs, groups, 2 * shape.pairs, shape.pairs,
                   dbias.mutable_data_ptr<A>());
    }
  };
  if (type == ScalarType::Double) {
    finish(double{});
  } else {
    finish(float{});
  }
  return {dx, dgate, dalpha, dweight, dbias};
}

}  // namespace mmhadaptive::cpu
