// What a HuggingFace folder says about text: its tokenizer with the special tokens in use, its chat template, its end tokens.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/huggingface_folder.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

// Of tokenizer.json, else of tokenizer.model; what it adds around a text and which tokens begin and end one:
// tokenizer_config.json, then special_tokens_map.json, then the tokenizer's own file. Null when the folder has neither. Throws
// Error{bad_model}.
std::unique_ptr<const Tokenizer> tokenizer_from_folder(const HuggingFaceFolder& folder);

// Jinja source: chat_template.jinja, else tokenizer_config.json's "chat_template", of several the one named "default".
std::optional<std::string> chat_template_of(const HuggingFaceFolder& folder);

// The "eos_token_id" of generation_config.json and of config.json, one number or several each. Throws Error{bad_model} for an
// id outside [0, n_vocab).
std::vector<TokenId> end_ids_of(const HuggingFaceFolder& folder, std::int64_t n_vocab);

}  // namespace bitnet
