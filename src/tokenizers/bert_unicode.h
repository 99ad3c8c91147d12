// Character categories as BERT's published tokenizers see them: those of Unicode 8.
#pragma once

#include "tokenizers/unicode.h"

namespace bitnet {

// HuggingFace's normaliser for BERT knows Unicode 8: marks, punctuation and format characters that came later are nothing
// special to it.
unicode::Category bert_category(char32_t code);

}  // namespace bitnet
