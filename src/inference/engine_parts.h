// Engine::Parts: what an engine holds, for the files that implement it.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "common/file_reader.h"
#include "common/thread_pool.h"
#include "inference/dry_breakers.h"
#include "inference/engine.h"
#include "inference/grammar/token_mask_cache.h"
#include "inference/prepare.h"
#include "inference/speculation.h"
#include "inference/transformer.h"
#include "inference/vocabulary.h"

namespace bitnet {

struct Engine::Parts {
  EngineOptions options;
  const KernelTable* kernels = nullptr;
  std::unique_ptr<ThreadPool> pool;
  PreparedModel model;
  std::unique_ptr<Transformer> transformer;
  std::int64_t n_ctx = 0;
  std::unique_ptr<KvPages> kv_pages;
  ModelVocabulary vocabulary;
  SamplingParams recommended_sampling;
  std::unique_ptr<TokenMaskCache> token_masks;  // null without a tokenizer
  DryBreakers dry_breakers;
  StepCosts step_costs;           // of these threads
  std::vector<FileReader> files;  // that the weights came from
  std::string folder_config;      // of a HuggingFace folder, as text
  std::string hash;               // once asked for

  // Again for every pool: what pays depends on its threads.
  void measure_sparsity() {
    std::vector<SparseSample> samples;
    for (const PreparedLayer& layer : model.layers) {
      const auto& gate_up = layer.gate_up.parts();
      if (!layer.down_columns || !gate_up[1].is_ternary) continue;
      samples.push_back({&gate_up[1].ternary, &layer.ffn_down.parts().front().ternary, &layer.down_columns.matrix});
    }
    model.sparse_limits = measure_sparse_limits(samples, *kernels, *pool);
  }

  void make_transformer() {
    measure_sparsity();
    step_costs = {};
    transformer = std::make_unique<Transformer>(model, *kernels, *pool, std::min(options.chunk, n_ctx));
  }
};

}  // namespace bitnet
