// A vocabulary as GGUF metadata.
#pragma once

#include <optional>
#include <string>

#include "models/gguf_writer.h"
#include "models/huggingface_folder.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

// Sets the keys that vocabulary_from_gguf reads (key names: ggml/docs/gguf.md of llama.cpp).
void add_vocabulary(GgufMetadata& metadata, const Vocabulary& vocabulary);

// Sets those of a folder's tokenizer and its chat template; nothing when the folder has no tokenizer.json. Throws what
// vocabulary_from_json and tokenizer_from_folder throw.
void add_vocabulary(GgufMetadata& metadata, const HuggingFaceFolder& folder);

}  // namespace bitnet
