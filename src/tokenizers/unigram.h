// Unigram (sentencepiece, T5): the segmentation of a text whose pieces have the highest total score.
#pragma once

#include <memory>

#include "tokenizers/sentencepiece_bpe.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

// Normalises by vocabulary.precompiled_charsmap; add_space_prefix and remove_extra_whitespaces default to true. Throws
// Error{bad_model}.
std::unique_ptr<const Tokenizer> make_unigram(Vocabulary vocabulary, const SentencePieceOptions& options = {});

}  // namespace bitnet
