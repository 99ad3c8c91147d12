// TensorFinder: a model's parts looked up by their GGUF names in whatever container, checked against the shapes wanted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/shape.h"
#include "models/huggingface_config.h"
#include "models/model_files.h"
#include "models/tensor_names.h"

namespace bitnet {

struct WeightTensor {
  std::string name;        // as the file writes it
  TensorView view;         // into the file's map
  float scale = 1;         // of its companion tensor, multiplied after the matmul
  std::uint32_t file = 0;  // which of the model's files
  bool absmean = false;    // full-precision weights that are made ternary when they are loaded (quantization/absmean.h)
  float added = 0;         // to every value: 1 of norms that are stored as their distance from it
};

// Keeps a reference to the files. Every failure is an Error{bad_model} that names the tensor as the file writes it.
class TensorFinder {
 public:
  // `rule` says what a folder's weights stand for.
  TensorFinder(const ModelFiles& files, const WeightRule& rule);

  [[noreturn]] void bad(std::string_view part, const std::string& fact) const;

  const StoredTensor* find(std::string_view part) const;
  WeightTensor require(std::string_view part, const Shape& shape);

  // A dense (size) vector: F32, F16 or BF16.
  WeightTensor vector(std::string_view part, std::int64_t size);

  // One of the norms that the family stores in its own way.
  WeightTensor norm(std::string_view part, std::int64_t size);

  // BASE.weight (rows, cols) with its companion scale, where there is one: a projection.
  WeightTensor projection(const std::string& base, std::int64_t rows, std::int64_t cols);

  // Of a folder: every tensor has been asked for, or is known to change nothing. Throws Error{unsupported} naming one of
  // which neither is true.
  void refuse_unused(std::string_view architecture) const;

 private:
  WeightTensor packed(const std::string& part, std::int64_t rows, std::int64_t cols);
  float companion_scale(const std::string& part);
  void check_tail_scale(const std::string& part, const WeightTensor& weight);

  const ModelFiles& files_;
  TensorNames names_;
  WeightRule rule_;
  std::vector<bool> used_;  // one for each of the files' tensors
};

}  // namespace bitnet
