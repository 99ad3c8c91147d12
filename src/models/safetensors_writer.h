// SafeTensors, the writing side: the header, and where the tensors go.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/tensor_file.h"

namespace bitnet {

struct NewSafetensor {
  std::string name;
  std::string_view dtype;  // "U8", "BF16", "F16", "F32"
  std::vector<std::int64_t> shape;

  std::uint64_t bytes() const;
};

// The header and tensors one behind the other in the order given, which for aligned data is wide types first (huggingface/
// safetensors, "Format").
FileLayout safetensors_layout(std::span<const NewSafetensor> tensors);

}  // namespace bitnet
