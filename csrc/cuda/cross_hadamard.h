#pragma once

#include <tuple>

#include "../arguments.h"

namespace mmhadaptive::cuda {

Tensor forward(const Tensor& x, const Tensor& index, const Tensor& gate,
               const OptionalTensor& alpha, const OptionalTensor& weight,
               const OptionalTensor& bias, const std::string& norm, const std::string& strategy);

// (dx, dgate, dalpha, dweight, dbias). What is not needed is an empty tensor of shape (0,).
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> backward(
    const Tensor& dy, const Tensor& x, const Tensor& index, const Tensor& gate,
    const OptionalTensor& alpha, const OptionalTensor& weight, const std::string& norm, bool need_x,
    bool need_gate, bool need_alpha, bool need_weight, bool need_bias);

}  // namespace mmhadaptive::cuda
