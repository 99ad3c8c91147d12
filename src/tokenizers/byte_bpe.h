// Byte-level BPE (GPT-2 and its descendants): text as bytes, bytes as letters of an alphabet, letters merged by rank.
#pragma once

#include <memory>
#include <optional>

#include "tokenizers/pre_tokenizer.h"
#include "tokenizers/special_tokens.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

struct ByteBpeOptions {
  PreTokenizer pre;
  bool nfc = false;               // normalise first
  bool ignore_merges = false;     // a word that is a token is taken whole
  bool add_prefix_space = false;  // to each stretch between special tokens
  bool bos_by_default = false;
  std::optional<std::vector<SpecialToken>> special = std::nullopt;  // without: those of the vocabulary
};

// Throws Error{bad_model}.
std::unique_ptr<const Tokenizer> make_byte_bpe(Vocabulary vocabulary, const ByteBpeOptions& options);

// What the vocabulary's pre-tokenizer name implies, or the family it is known by where it names none. Throws Error{bad_model}.
PreTokenizerFamily byte_bpe_family(const Vocabulary& vocabulary);

// With the options that a GGUF file's pre-tokenizer name implies; an unknown name is an error.
std::unique_ptr<const Tokenizer> make_byte_bpe(Vocabulary vocabulary);

}  // namespace bitnet
