// SourceModel: every weight of a stored model under the name that GGUF gives it, to be converted, compared or examined.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/thread_pool.h"
#include "models/gguf_writer.h"
#include "models/model.h"
#include "quantization/absmean.h"
#include "quantization/encode.h"

namespace bitnet {

// What a weight does in a model. Projections are the matrices that ternary models make ternary.
enum class WeightRole : std::uint8_t { embedding, head, projection, other };

// The role of the tensor that GGUF files of every family known call so.
WeightRole weight_role(std::string_view name);

// A stored weight. Views somebody else's map.
struct SourceWeight {
  std::string name;
  WeightRole role = WeightRole::other;
  TensorView view;
  float scale = 1;       // of a companion, multiplied in
  bool absmean = false;  // full-precision weights that stand for the ternary ones that absmean makes of them
  // The stored row for each of the weight's rows; empty when that is the same.
  std::function<std::int64_t(std::int64_t)> stored_row = {};
  const MappedFile* map = nullptr;
  float added = 0;  // to every value of a dense weight
};

// Owns what its weights view.
struct SourceModel {
  Model model;
  GgufMetadata metadata;              // a GGUF file's without keys of several files, else made of the config; no tokenizer then
  std::vector<SourceWeight> weights;  // a GGUF file's all, known or not

  const std::string& path() const { return model.files().path(); }
  const ModelConfig& config() const { return model.config(); }
  std::uint64_t bytes() const { return model.files().bytes(); }
  bool is_folder() const { return model.files().folder() != nullptr; }
  const SourceWeight* find(std::string_view name) const;  // null when there is none
  const SourceWeight* find(WeightRole role) const;        // the first
};

// Whatever Model::open takes. Throws what that does, and Error{bad_model} for a companion scale that is not one finite F32.
SourceModel open_source(const std::string& path);

// A weight row by row, whichever type it is stored in. Keeps a reference to the weight. Reading is safe from several threads.
class WeightRows {
 public:
  // With scales when the weight is ternary or stands for one, its companion's multiplied in; for the latter all of it is read.
  // Throws Error{bad_model} for a scale or a mean that is not finite.
  WeightRows(const SourceWeight& weight, ThreadPool& pool);

  std::int64_t rows() const { return weight_.view.shape.rows(); }
  std::int64_t cols() const { return weight_.view.shape.cols(); }
  const std::optional<TernaryScales>& scales() const { return scales_; }
  float scale_at(std::int64_t row, std::int64_t col) const;  // ternary only

  // Codes 0 to 2 (cols) of a ternary weight. Throws Error{bad_model} naming the tensor for a code of 3.
  void codes(std::int64_t row, std::uint8_t* out) const;
  // Values (cols), exact.
  void values(std::int64_t row, float* out) const;

 private:
  std::int64_t stored(std::int64_t row) const { return weight_.stored_row ? weight_.stored_row(row) : row; }

  const SourceWeight& weight_;
  std::optional<TernaryScales> scales_;
  std::optional<Absmean> absmean_;
};

}  // namespace bitnet
