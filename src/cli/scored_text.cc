// Reads, encodes and cuts a text.
#include "cli/scored_text.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/terminal.h"
#include "common/error.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t max_text_bytes = 256u << 20;

}  // namespace

void add_scored_text_flags(CLI::App& command, ScoredTextOptions& options) {
  command.add_option("-f,--file", options.file, "the text, - is standard input")->type_name("FILE")->required();
  command.add_option("--ctx", options.cut.ctx, "tokens of a window; 0 = what the model was trained for")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--stride", options.cut.stride,
                  "windows of ctx + N / 2 tokens that begin N apart, the last N scored; 0 = one window behind the other, the "
                  "second half scored")
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--chunks", options.cut.most, "windows to score; -1 = all")->type_name("N")->capture_default_str();
}

bool adds_bos(const Tokenizer& tokenizer) {
  const std::vector<TokenId> ids = tokenizer.encode("", {.add_special = true});
  return !ids.empty() && tokenizer.vocabulary().bos == ids.front();
}

const Tokenizer& tokenizer_of(const Engine& engine) {
  if (engine.tokenizer() == nullptr) fail(ErrorKind::usage, "{}: it cannot read a text", engine.tokenizer_problem());
  return *engine.tokenizer();
}

std::vector<TokenId> encode_scored(const Tokenizer& tokenizer, std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::vector<TokenId> ids = tokenizer.encode(text, {.add_special = false, .parse_special = false});
  if (adds_bos(tokenizer)) ids.insert(ids.begin(), *tokenizer.vocabulary().bos);
  return ids;
}

ScoredSequence ScoredText::sequence(const TextWindow& window, const Tokenizer& tokenizer) const {
  ScoredSequence s{{tokens.begin() + window.begin, tokens.begin() + window.end}, window.first};
  if (bos) s.ids.front() = *tokenizer.vocabulary().bos;
  return s;
}

ScoredText read_scored_text(const ScoredTextOptions& options, const Engine& engine, const Engine* second) {
  TextCut cut = options.cut;
  const std::int64_t n_ctx = second == nullptr ? engine.n_ctx() : std::min(engine.n_ctx(), second->n_ctx());
  if (cut.ctx == 0) cut.ctx = n_ctx - cut.stride / 2;
  if (cut.window() > n_ctx) {
    fail(ErrorKind::too_big, "a window of {} tokens does not fit, the model was trained for {}", cut.window(), n_ctx);
  }
  const Tokenizer& tokenizer = tokenizer_of(engine);
  const std::string content = read_text_file(options.file, max_text_bytes);
  ScoredText text;
  text.tokens = encode_scored(tokenizer, content);
  if (second != nullptr && second->tokenizer() != nullptr && encode_scored(*second->tokenizer(), content) != text.tokens) {
    fail(ErrorKind::usage, "{}: the two models cut the text into different tokens", printable(options.file, 512));
  }
  try {
    text.windows = text_windows(static_cast<std::int64_t>(text.tokens.size()), cut);
  } catch (const Error& error) {
    fail(error.kind(), "{}: {}", printable(options.file, 512), error.what());
  }
  text.bos = cut.stride == 0 && adds_bos(tokenizer);
  return text;
}

}  // namespace bitnet::cli
