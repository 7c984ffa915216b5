#include "cross_hadamard.h"

#include <string>

#include "../cpu/cross_hadamard.h"

namespace mmhadaptive::onnxruntime {
namespace {

Norm norm_named(const std::string& name) {
  for (const NamedNorm& known : kNorms) {
    if (name == known.name) {
      return known.norm;
    }
  }
  check(false, "norm must be 'softsign', 'sigmoid', 'algebraic' or 'none', got '", name, "'");
  return Norm::kNone;
}

void check_vector(const char* name, const Input<float>& input, int64_t size, Norm norm) {
  check(input.given() == (norm != Norm::kNone), name,
        norm == Norm::kNone ? " must not be given if norm is 'none'"
                            : " is required unless norm is 'none'");
  check(!input.given() || (input.sizes.size() <= 1 && input.elements() == size), name,
        " must have shape (", size, ",), got ", input.elements(), " elements");
}

}  // namespace

CrossHadamard::CrossHadamard(Ort::ConstKernelInfo info)
    : norm_(norm_named(info.GetAttribute<std::string>("norm"))) {
}

void CrossHadamard::compute(const Ort::KernelContext& context,
                            const cpu::ParallelFor& parallel_for) const {
  const Input<float> x(context, 0);
  const Input<int64_t> index(context, 1);
  const Input<float> gate(context, 2), alpha(context, 3), weight(context, 4), bias(context, 5);
  check(x.sizes.size() == 4, "x must have 4 dimensions (N, C, H, W), got ", x.sizes.size());
  const int64_t batch = x.sizes[0], channels = x.sizes[1], pixels = x.sizes[2] * x.sizes[3];
  check(index.sizes.size() == 2 && index.sizes[0] == batch,
        "index must have shape (N, k) with N = ", batch, " of x");
  const int64_t selected = index.sizes[1];
  check(selected >= kMinSelected && selected <= kMaxSelected, "index must select ", kMinSelected,
        " to ", kMaxSelected, " channels, got ", selected);
  check(selected <= channels, "index selects ", selected, " channels, but x has ", channels);
  check(!gate.given() || gate.sizes == index.sizes, "gate must have the shape of index");
  const int k = static_cast<int>(selected);
  check_vector("alpha", alpha, 1, norm_);
  check_vector("weight", weight, pair_count(k), norm_);
  check_vector("bias", bias, pair_count(k), norm_);

  const std::vector<float> ones(gate.given() ? 0 : batch * selected, 1.0f);
  const Shape shape{batch, channels, pixels, k, pair_count(k)};
  Ort::UnownedValue y =
      context.GetOutput(0, {batch, channels + shape.pairs, x.sizes[2], x.sizes[3]});
  const AnyParameters parameters{index.data, gate.given() ? gate.data : ones.data(), alpha.data,
                                 weight.data, bias.data};
  const Call call{shape,          parameters, {x.data, channels * pixels, pixels},
                  Element::kFloat, norm_,      Layout::kPlanar};
  // Tiles that are cut for more threads than there are cost up to a fifth; the largest make tasks
  // enough where there is something to win.
  cpu::forward({call, y.GetTensorMutableData<float>()}, 1, parallel_for);
}

}  // namespace mmhadaptive::onnxruntime
