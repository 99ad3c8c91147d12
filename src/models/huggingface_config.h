// What a HuggingFace folder's config.json asks for: the model's arithmetic, and what its stored weights stand for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "models/huggingface_folder.h"
#include "models/model_config.h"

namespace bitnet {

// A family is a row of data. Sources: transformers' configuration classes, and the published repositories.
struct HuggingFaceFamily {
  std::string_view model_class;   // config.json's "architectures"
  std::string_view architecture;  // the row of architectures() whose arithmetic it is
  float rope_theta;               // where config.json gives none
  bool always_ternary = false;    // its full-precision projections are ternarised without a quantization_config that says so
  bool norms_from_one = false;    // what its norms multiply with is 1 + the stored weight
};

std::span<const HuggingFaceFamily> huggingface_families();

// How stored weights become numbers (transformers, integrations/bitnet.py).
struct WeightRule {
  bool absmean = false;         // full-precision weights are ternarised when they are loaded
  bool may_be_packed = false;   // uint8 weights hold four ternary rows each
  bool divides = false;         // weight_scale divides the product (BitLinear), else it multiplies (AutoBitLinear)
  bool norms_from_one = false;  // as in HuggingFaceFamily; those before single projections are stored as they multiply
};

struct HuggingFaceConfig {
  ModelConfig model;  // n_vocab as the file gives it
  WeightRule weights;
  std::optional<bool> tied_head;  // whether the head is the embedding; nullopt: when lm_head.weight is absent
};

// Rotation is NEOX's in every family: queries and keys are not permuted in folders. Throws Error{bad_model} naming the key, its
// value and what is allowed, also for a class that is not known; Error{unsupported} for arithmetic that this build does not do.
HuggingFaceConfig read_config(const HuggingFaceFolder& folder);

}  // namespace bitnet
