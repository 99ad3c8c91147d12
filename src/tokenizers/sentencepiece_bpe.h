// SentencePiece-style BPE (Llama 2, Gemma): characters merged by score or by rank, unknown characters as bytes.
#pragma once

#include <bitset>
#include <memory>
#include <optional>

#include "tokenizers/charsmap.h"
#include "tokenizers/special_tokens.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

// For BPE and for unigram vocabularies.
struct SentencePieceOptions {
  bool prefix_every_segment = true;  // a space before each stretch between special tokens, or before the first only
  std::optional<std::vector<SpecialToken>> special = std::nullopt;  // without: those of the vocabulary
  // The library's own way with a .model file: nothing is cut out of the text first; user-defined symbols are kept whole in it.
  bool whole_text = false;
  bool escape_spaces = true;                    // the vocabulary writes a space as U+2581
  std::string unknown_text = " \xe2\x81\x87 ";  // what an unknown token decodes to
};

// Merges by vocabulary.merges where there are any (HuggingFace's form), else by score (sentencepiece's). A space before the
// text where vocabulary.add_space_prefix is not false; extra white space goes where remove_extra_whitespaces is true. Throws
// Error{bad_model}.
std::unique_ptr<const Tokenizer> make_sentencepiece_bpe(Vocabulary vocabulary, const SentencePieceOptions& options = {});

// The id of each byte's token "<0xNN>", or -1. Throws Error{bad_model} for a byte token of another form.
std::vector<TokenId> find_byte_tokens(const Tokenizer& tokenizer);

// The byte that a byte token stands for, or -1.
int byte_of_token(std::string_view text);

// A token's text with marks as spaces.
std::string unmark(std::string_view text);

// What the two kinds of SentencePiece tokenizer share.

// The special tokens for VocabularyTokenizer; nullopt for the vocabulary's own.
std::optional<std::vector<SpecialToken>> special_tokens(const SentencePieceOptions& options);

// The user-defined tokens; they view the tokenizer's texts.
PieceIndex user_defined_pieces(const Tokenizer& tokenizer);

// What a token is in running text: marks as spaces, bytes as they are.
std::string sentencepiece_text(const Tokenizer& tokenizer, TokenId id, bool special, const std::string& unknown_text);

// Cuts normalised text at spaces that no token joins to what stands before them, so that words can be encoded one by one.
class WordCutter {
 public:
  WordCutter() = default;
  WordCutter(const std::vector<std::string>& tokens, std::string_view space);  // `space` as the vocabulary writes it, static

  std::size_t first_word(std::string_view text) const;  // its size

 private:
  std::string_view space_;
  std::bitset<256> before_space_;  // bytes that stand before a space inside some token
};

}  // namespace bitnet
