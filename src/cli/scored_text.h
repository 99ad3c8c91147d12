// The text that a model's quality is measured on: its tokens, and the windows they are scored in.
#pragma once

#include <string>
#include <vector>

#include "inference/engine.h"
#include "inference/quality.h"

namespace CLI {
class App;
}

namespace bitnet::cli {

struct ScoredTextOptions {
  std::string file;
  TextCut cut;
};

// -f, --ctx, --stride, --chunks.
void add_scored_text_flags(CLI::App& command, ScoredTextOptions& options);

// Does the model put its begin-of-text token before a text?
bool adds_bos(const Tokenizer& tokenizer);

// The engine's tokenizer. Throws Error{usage} when the model has none.
const Tokenizer& tokenizer_of(const Engine& engine);

// A text's tokens as llama.cpp's tools see it: BOS where the model wants one, special tokens written in the text as ordinary
// text, no end token; a line end at the very end is dropped.
std::vector<TokenId> encode_scored(const Tokenizer& tokenizer, std::string_view text);

struct ScoredText {
  std::vector<TokenId> tokens;
  std::vector<TextWindow> windows;
  bool bos;  // each window begins with BOS in place of its first token

  ScoredSequence sequence(const TextWindow& window, const Tokenizer& tokenizer) const;
};

// With a second engine also makes sure that it reads the same. Throws Error: usage for a text that is too short or that the two
// cut into different tokens, too_big for windows beyond a context or a file above 256 MiB, not_found and io.
ScoredText read_scored_text(const ScoredTextOptions& options, const Engine& engine, const Engine* second = nullptr);

}  // namespace bitnet::cli
