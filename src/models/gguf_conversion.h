// A model written as GGUF, with other types, a part of it or all: what every tensor becomes, and the metadata that says so.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/gguf_parts.h"
#include "models/weight_encoding.h"

namespace bitnet {

struct ConversionOptions {
  std::optional<DataType> projections, embedding;  // the latter for the head, too; as stored when not given
  Rounding rounding = Rounding::none;              // of projections; the embedding is always rounded where its type asks for it
  KernelConfig tilings = {};                       // of TL1 and TL2
  bool llama_cpp = false;                          // as llama.cpp of today loads it
};

struct ConversionPlan {
  struct Item {
    std::size_t weight;  // of the source
    WeightPlan plan;
    std::size_t tensor;  // of the file; its companion, if it has one, is the next
  };
  GgufMetadata metadata;
  std::vector<Item> items;
  std::vector<NewTensor> tensors;  // in the file's order
};

// Decides everything. Throws Error{usage} naming the tensor that cannot be had as asked for.
ConversionPlan plan_conversion(const SourceModel& source, const ConversionOptions& options, ThreadPool& pool);

// Writes the tensors that the plan laid out.
void carry_out(const SourceModel& source, const ConversionPlan& plan, TensorFiles& files, ThreadPool& pool,
               const ByteProgress& progress);

}  // namespace bitnet
