// Elementary functions in double precision from + - * / alone, so that every platform gives the same bits; and the rope angles.
#pragma once

#include <cstdint>

namespace bitnet {

// Relative error below 1e-15 where the result is a normal number; not for the inner loops (those have their own float exp).
double exp_f64(double x);                             // 0 below -745, infinity above 710
double log_f64(double x);                             // x > 0 and finite; NaN otherwise
void sincos_f64(double x, double& sin, double& cos);  // |x| up to 2^20

// inverse[i] = float(1 / theta^(2i / rope_dim)) for i < rope_dim / 2 (RoFormer, Su et al. 2021).
void rope_inverse_frequencies(double theta, std::int64_t rope_dim, float* inverse);

// cos[i], sin[i] of the float product position * inverse[i], each rounded once to float.
void rope_angles(std::int64_t position, const float* inverse, std::int64_t n, float* cos, float* sin);

}  // namespace bitnet
