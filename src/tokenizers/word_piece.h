// WordPiece (BERT): cleaned and lower-cased words cut greedily into the longest known pieces.
#pragma once

#include <memory>
#include <optional>

#include "tokenizers/special_tokens.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

struct WordPieceOptions {
  bool lowercase = true;
  bool strip_accents = true;
  bool clean_text = true;                                           // drops control characters, makes every white space a space
  bool split_chinese = true;                                        // each ideograph is a word
  std::string continuation = "##";                                  // prefix of pieces inside a word
  std::int64_t max_word_chars = 100;                                // longer words are unknown
  std::optional<std::vector<SpecialToken>> special = std::nullopt;  // without: those of the vocabulary
};

// vocabulary.bos and .eos are [CLS] and [SEP]. Files in which pieces that begin a word are marked with U+2581 and the others
// are bare (llama.cpp's form) are understood too. Throws Error{bad_model}.
std::unique_ptr<const Tokenizer> make_word_piece(Vocabulary vocabulary, const WordPieceOptions& options = {});

}  // namespace bitnet
