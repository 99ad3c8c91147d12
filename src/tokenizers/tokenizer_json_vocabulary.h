// A tokenizer.json as the vocabulary that a GGUF file would hold.
#pragma once

#include <string>
#include <string_view>

#include "tokenizers/tokenizer.h"

namespace bitnet {

// Completes what tokenizer_from_json read out of `json` with what its tokenizer keeps to itself: the model's name, the merges,
// the name of the pre-tokenizer. Byte-level BPE only. Throws Error{unsupported} naming the field that GGUF metadata cannot say,
// and Error{bad_model}.
Vocabulary vocabulary_from_json(std::string_view json, const std::string& name, Vocabulary read);

}  // namespace bitnet
