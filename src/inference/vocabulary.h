// What a model says about text: its tokenizer, its chat template and the tokens that end an answer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/model.h"
#include "tokenizers/chat_template.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

struct ModelVocabulary {
  std::unique_ptr<const Tokenizer> tokenizer;         // null when there is none
  std::string problem;                                // why there is none
  std::unique_ptr<const ChatTemplate> chat_template;  // null when there is none
  std::vector<TokenId> end_ids;  // those that the files name, EOS, EOT and the tokens known under such names
};

// The vocabulary of a GGUF file as its metadata has it; nullopt when there is none. Throws Error{bad_model}.
std::optional<Vocabulary> vocabulary_from_gguf(const GgufFile& file);

// Throws Error{bad_model} for a tokenizer or template that breaks its rules, or ids outside the model's `n_vocab`.
ModelVocabulary read_vocabulary(const Model& model);

}  // namespace bitnet
