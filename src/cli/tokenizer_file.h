// A tokenizer alone, out of any file that holds one.
#pragma once

#include <memory>
#include <string>

#include "tokenizers/tokenizer.h"

namespace bitnet::cli {

// A GGUF file (its tensors are not looked at), a HuggingFace tokenizer.json or a SentencePiece .model, told apart by content.
// Throws Error: not_found, io, bad_model, too_big above 256 MiB for the last two.
std::unique_ptr<const Tokenizer> open_tokenizer(const std::string& path);

}  // namespace bitnet::cli
