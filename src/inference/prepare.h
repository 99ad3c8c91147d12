// PreparedModel: a model file's weights in the form the transformer computes with.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "inference/head_scan.h"
#include "inference/linear.h"
#include "inference/row_table.h"
#include "inference/sparse_ffn.h"
#include "models/model.h"

namespace bitnet {

struct PreparedLayer {
  std::vector<float> attn_norm;                      // (n_embd)
  std::vector<float> attn_sub_norm;                  // (n_head * head_dim), empty without sub-norms
  std::vector<float> ffn_norm;                       // (n_embd)
  std::vector<float> ffn_sub_norm;                   // (n_ff), empty without sub-norms
  std::vector<float> q_norm, k_norm;                 // (head_dim), empty without norms of queries and keys
  std::vector<float> post_attn_norm, post_ffn_norm;  // (n_embd), empty without norms of what is added to the residual stream
  Linear qkv;                                        // (n_head + 2 n_head_kv) * head_dim rows: queries, keys, values
  Linear attn_output;                                // n_embd rows
  Linear gate_up;                                    // 2 n_ff rows: gate, up
  Linear ffn_down;                                   // n_embd rows
  DownColumns down_columns;                          // the same turned over, where sparsity may pay
};

struct PreparedModel {
  ModelConfig config;
  RowTable token_embd;                     // (n_vocab, n_embd)
  RowTable output;                         // the same; empty when the head is token_embd
  HeadScan head_scan;                      // of head(); not usable for small ones
  std::vector<float> output_norm;          // (n_embd)
  std::vector<float> rope_inverse;         // (rope_dim / 2) inverse frequencies, scaling included
  std::vector<float> window_rope_inverse;  // the same of layers with a window; empty without
  std::vector<PreparedLayer> layers;
  SparseLimits sparse_limits;  // all zero until somebody measures

  const RowTable& head() const { return output.empty() ? token_embd : output; }
  std::uint64_t bytes() const;  // of all weights in memory
  std::uint64_t down_columns_bytes() const;
};

// Copies everything out of the file but large row tables, and lets its pages go on the way. `progress` is called with bytes
// done and total. Without `scans_head` there is no head_scan, which only generating needs. Throws Error{bad_model},
// Error{unsupported}, Error{too_big} or Error{io}.
PreparedModel prepare(Model& model, const KernelTable& kernels, ThreadPool& pool,
                      const std::function<void(std::uint64_t, std::uint64_t)>& progress = {}, bool scans_head = true);

}  // namespace bitnet
