// Scores the windows of a text, as many together as the engine takes.
#include "cli/text_perplexity.h"

#include <algorithm>

#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"

namespace bitnet::cli {

Mean score_text(Engine& engine, const ScoredText& text, const std::function<void(const Mean&)>& on_window) {
  LikelihoodScorer scorer(engine, stop_if_interrupted);
  const std::int64_t length = text.windows.front().end - text.windows.front().begin;
  const auto together = static_cast<std::size_t>(std::max<std::int64_t>(1, engine.max_batch() / length));
  Mean nll;
  for (std::size_t at = 0; at < text.windows.size(); at += together) {
    std::vector<ScoredSequence> sequences;
    for (std::size_t i = at; i < std::min(at + together, text.windows.size()); ++i)
      sequences.push_back(text.sequence(text.windows[i], *engine.tokenizer()));
    for (const auto& tokens : scorer.score(sequences)) {
      for (const TokenLikelihood& token : tokens) nll.add(-token.log_probability);
      on_window(nll);
    }
  }
  return nll;
}

Estimate perplexity_of(const std::string& model, const std::string& text_file, int threads) {
  ModelOptions options;
  options.path = model;
  options.engine.threads = threads;
  options.kv = "f32";  // as `bitnet perplexity` measures
  const std::unique_ptr<Engine> engine = open_engine(options);
  ScoredTextOptions file;
  file.file = text_file;
  const ScoredText text = read_scored_text(file, *engine);
  ProgressBar progress("scoring", "chunks");
  std::uint64_t done = 0;
  const Mean nll = score_text(*engine, text, [&](const Mean&) { progress.update(++done, text.windows.size()); });
  return exp_of(nll.estimate());
}

}  // namespace bitnet::cli
