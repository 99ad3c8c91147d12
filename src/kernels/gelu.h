// The numbers of GELU's tanh form, which every instruction set uses in the same order.
#pragma once

namespace bitnet {

// GELU (Hendrycks and Gimpel 2016) by tanh is x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))). Since (1 + tanh t) / 2 is
// 1 / (1 + exp(-2t)), it is x / (1 + exp(x * (linear + cubic * x^2))) with
constexpr float gelu_linear = -1.5957691216f;    // -2 sqrt(2 / pi)
constexpr float gelu_cubic = -0.0713548162726f;  // and that times 0.044715

}  // namespace bitnet
