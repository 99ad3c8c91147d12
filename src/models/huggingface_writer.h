// A model written as a HuggingFace folder that transformers loads: config.json, and weights under HuggingFace's names.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "models/model_config.h"
#include "models/safetensors_writer.h"
#include "models/source_model.h"

namespace bitnet {

// Names of files that such a folder may hold: what may be replaced.
extern const std::vector<std::string_view> huggingface_file_names;

struct HuggingFacePlan {
  struct Item {
    SourceWeight weight;                // rows in HuggingFace's order
    bool packed = false;                // four ternary rows a byte, with a weight_scale beside it
    std::size_t tensor = 0, scale = 0;  // counted through the files
    float scale_value = 1;
  };
  struct File {
    std::string name;
    std::vector<NewSafetensor> tensors;
  };
  std::vector<Item> items;
  std::vector<File> files;                      // model.safetensors, or shards
  std::optional<nlohmann::ordered_json> index;  // of the shards
  nlohmann::ordered_json config;                // config.json
};

// Ternary projections are packed as the published bitnet-b1.58-2B-4T is (quantization_config bitnet, linear_class
// autobitlinear, offline: weight_scale multiplies); queries and keys of the llama architecture go back to HuggingFace's order
// of rows; other weights keep F32, F16 or BF16 and are F32 otherwise, exactly. No file is larger than `shard_bytes`, unless one
// tensor is. Throws Error{usage} naming the architecture, key or tensor that has no counterpart there.
HuggingFacePlan plan_huggingface(const SourceModel& source, std::uint64_t shard_bytes, ThreadPool& pool);

// Writes the tensors that the plan laid out.
void carry_out(const HuggingFacePlan& plan, TensorFiles& files, ThreadPool& pool, const ByteProgress& progress);

}  // namespace bitnet
