// The names that containers give to the parts of a model.
#pragma once

#include <string>
#include <string_view>

#include "models/model_files.h"

namespace bitnet {

// Everything else speaks of a part by its GGUF name: "blk.3.attn_q.weight", "output_norm.weight".
class TensorNames {
 public:
  explicit TensorNames(const ModelFiles& files);

  // As the files write it; where a folder's makers have used several names, the one that is there.
  std::string stored(std::string_view part) const;

  // Of a folder: a tensor that changes no result, such as a table of rotations that is computed anyway.
  static bool is_without_effect(std::string_view stored);

 private:
  const ModelFiles& files_;
  std::string prefix_;  // of a folder's names: "model.", or none in models without a head
};

}  // namespace bitnet
