// A tokenizer alone, out of any file that holds one.
#pragma once

#include <memory>
#include <string>

#include "tokenizers/tokenizer.h"

namespace bitnet::cli {

// A HuggingFace folder (or a .safetensors file in one), a GGUF file (its tensors are not looked at), a tokenizer.json or a
// SentencePiece .model, these three told apart by content.
// Throws Error: not_found, io, bad_model, too_big above 256 MiB for the last two.
std::unique_ptr<const Tokenizer> open_tokenizer(const std::string& path);

}  // namespace bitnet::cli
