// SentencePiece-style BPE (Llama 2, Gemma): characters merged by score or by rank, unknown characters as bytes.
#pragma once

#include <memory>
#include <optional>

#include "tokenizers/special_tokens.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

struct SentencePieceOptions {
  bool prefix_every_segment = true;  // a space before each stretch between special tokens, or before the first only
  std::optional<std::vector<SpecialToken>> special;  // without: those of the vocabulary
};

// Merges by vocabulary.merges where there are any (HuggingFace's form), else by score (sentencepiece's). A space before the
// text where vocabulary.add_space_prefix is not false. Throws Error{bad_model}.
std::unique_ptr<const Tokenizer> make_sentencepiece_bpe(Vocabulary vocabulary, const SentencePieceOptions& options = {});

// The id of each byte's token "<0xNN>", or -1. Throws Error{bad_model} for a byte token of another form.
std::vector<TokenId> find_byte_tokens(const Tokenizer& tokenizer);

// The byte that a byte token stands for, or -1.
int byte_of_token(std::string_view text);

// The written form of a space in these vocabularies, U+2581.
constexpr std::string_view space_mark = "\xe2\x96\x81";
// A token's text with marks as spaces.
std::string unmark(std::string_view text);

}  // namespace bitnet
