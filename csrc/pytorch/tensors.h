// Element types, memory formats and new tensors, by the stable ABI of torch.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <array>
#include <cstdint>
#include <optional>

#include "../core/common.h"

namespace mmhadaptive {

using torch::headeronly::MemoryFormat;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using OptionalTensor = std::optional<Tensor>;

inline Element element_of(const Tensor& t) {
  switch (t.scalar_type()) {
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

// float64 is computed in float64, everything else in float32.
inline ScalarType accumulate_type(const Tensor& x) {
  return x.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

// Whether the pixels of every channel are adjacent. Strides of dimensions of size one do not count.
inline bool is_planar(const Tensor& t) {
  return (t.size(3) == 1 || t.stride(3) == 1) && (t.size(2) == 1 || t.stride(2) == t.size(3));
}

// The distance between neighbouring pixels of one channel, for a tensor that is interleaved.
inline int64_t pixel_stride(const Tensor& t) {
  return t.size(3) > 1 ? t.stride(3) : t.stride(2);
}

// Whether the channels of every pixel are adjacent and the pixels evenly spaced.
inline bool is_interleaved(const Tensor& t) {
  return (t.size(1) == 1 || t.stride(1) == 1) &&
         (t.size(2) == 1 || t.size(3) == 1 || t.stride(2) == t.size(3) * t.stride(3));
}

// The memory format of the output. mmhadaptive/ops/arguments.py has the same
// rule.
inline MemoryFormat memory_format_of(const Tensor& x) {
  const bool channels_last = !is_planar(x) && x.stride(1) == 1;
  return channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous;
}

// `t`, or a copy of it if its strides are none that the kernels take.
inline Tensor with_format(const Tensor& t, MemoryFormat format) {
  const bool fits = format == MemoryFormat::ChannelsLast ? is_interleaved(t) : is_planar(t);
  return fits ? t : torch::stable::contiguous(t, format);
}

inline int64_t row_stride(const Tensor& t, MemoryFormat format) {
  return format == MemoryFormat::ChannelsLast ? pixel_stride(t) : t.stride(1);
}

inline Tensor empty_like(const Tensor& t, std::array<int64_t, 4> sizes, MemoryFormat format) {
  return torch::stable::empty({sizes.data(), sizes.size()}, t.scalar_type(), std::nullopt,
                              t.device(), std::nullopt, format);
}

inline Tensor empty_vector(const Tensor& like, int64_t size, ScalarType type) {
  return torch::stable::empty({&size, 1}, type, std::nullopt, like.device());
}

inline OptionalTensor contiguous(const OptionalTensor& t) {
  return t.has_value() ? OptionalTensor(torch::stable::contiguous(*t)) : std::nullopt;
}

}  // namespace mmhadaptive
