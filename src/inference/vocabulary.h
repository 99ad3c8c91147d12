// What a model file says about text: its tokenizer, its chat template and the tokens that end an answer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/model.h"
#include "tokenizers/chat_template.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

struct ModelVocabulary {
  std::unique_ptr<const Tokenizer> tokenizer;         // null when the file has none
  std::string problem;                                // why it has none
  std::unique_ptr<const ChatTemplate> chat_template;  // null when the file has none
  std::vector<TokenId> end_ids;                       // EOS, EOT and the tokens known under those names
};

// Throws Error{bad_model} for a tokenizer or template that breaks its rules, or ids outside the model's `n_vocab`.
ModelVocabulary read_vocabulary(const Model& model);

}  // namespace bitnet
