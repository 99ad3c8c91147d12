// Softmax in the log domain, in double precision: what a row of logits says of probabilities, to the same bits everywhere.
#pragma once

#include <cstdint>

namespace bitnet {

// ln sum_i exp(x[i]), so that ln softmax(x)[i] = x[i] - log_sum_exp(x). Relative error of the sum below 1e-14 for up to 2^20
// values; logits of -infinity count as probability 0. NaN when any logit is NaN or +infinity, or all are -infinity, or n is 0.
// Added in the order of lanes.h.
double log_sum_exp(const float* x, std::int64_t n) noexcept;

// sum_i P_i (ln P_i - ln Q_i) in nats, for P and Q the softmax of p and q, whose log_sum_exp are given: the Kullback-Leibler
// divergence of Q from P. Exactly 0 for equal rows; rounding may leave about -1e-16 for nearly equal ones. +infinity where Q
// excludes what P allows.
double kl_divergence(const float* p, double p_log_sum, const float* q, double q_log_sum, std::int64_t n) noexcept;

}  // namespace bitnet
