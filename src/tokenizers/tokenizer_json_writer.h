// A vocabulary written as HuggingFace's tokenizer.json.
#pragma once

#include <string>

#include "tokenizers/tokenizer.h"

namespace bitnet {

// Byte-level BPE: the text that tokenizer_from_json reads as the same tokenizer, and transformers' fast tokenizers too. Throws
// Error{unsupported} naming the field for other models, and for a pre-tokenizer that has no regular expression of its own.
std::string tokenizer_to_json(const Vocabulary& vocabulary);

}  // namespace bitnet
