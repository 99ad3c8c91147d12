// Chooses the tokenizer for a vocabulary.
#include "tokenizers/tokenizer.h"

#include "common/error.h"
#include "tokenizers/byte_bpe.h"
#include "tokenizers/sentencepiece_bpe.h"
#include "tokenizers/unigram.h"
#include "tokenizers/word_piece.h"

namespace bitnet {

std::unique_ptr<const Tokenizer> make_tokenizer(Vocabulary vocabulary) {
  if (vocabulary.model == "gpt2") return make_byte_bpe(std::move(vocabulary));
  if (vocabulary.model == "llama") return make_sentencepiece_bpe(std::move(vocabulary));
  if (vocabulary.model == "t5") return make_unigram(std::move(vocabulary));
  if (vocabulary.model == "bert") {
    if (!vocabulary.bos) vocabulary.bos = vocabulary.cls;
    if (!vocabulary.eos) vocabulary.eos = vocabulary.sep;
    return make_word_piece(std::move(vocabulary));
  }
  fail(ErrorKind::bad_model, "tokenizer.ggml.model is '{}', supported are gpt2, llama, t5 and bert",
       printable(vocabulary.model));
}

}  // namespace bitnet
