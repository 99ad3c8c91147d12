// `bitnet perplexity`: how well a model predicts a text.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "cli/text_perplexity.h"

namespace bitnet::cli {
namespace {

struct PerplexityOptions {
  ModelOptions model;
  ScoredTextOptions text;
  bool json = false;
};

int perplexity(const PerplexityOptions& o) {
  const InterruptGuard guard;
  const std::unique_ptr<Engine> engine = open_engine(o.model);
  const ScoredText text = read_scored_text(o.text, *engine);
  ProgressBar progress("scoring", "chunks");
  std::vector<double> running;
  const Mean nll = score_text(*engine, text, [&](const Mean& so_far) {
    running.push_back(exp_of(so_far.estimate()).value);
    if (!o.json) {
      progress.clear();
      print(fmt::format("{}[{}]{:.4f}", running.size() > 1 ? "," : "", running.size(), running.back()));
    }
    progress.update(running.size(), text.windows.size(), fmt::format("perplexity {:.4f}", running.back()));
  });
  progress.clear();
  const Estimate mean = nll.estimate(), result = exp_of(mean);
  const std::int64_t length = text.windows.front().end;
  if (!o.json) {
    print(fmt::format("\nperplexity {:.4f} +- {:.5f}: {} of {} tokens scored in {} chunks of {}\n", result.value, result.error,
                      nll.count(), text.tokens.size(), running.size(), length));
    return exit_ok;
  }
  print(json_text({{"perplexity", result.value},
                   {"perplexity_error", result.error},
                   {"nll", mean.value},
                   {"nll_error", mean.error},
                   {"tokens", text.tokens.size()},
                   {"scored_tokens", nll.count()},
                   {"chunks", running.size()},
                   {"chunk_tokens", length},
                   {"stride", o.text.cut.stride},
                   {"bos", text.bos},
                   {"running", running},
                   {"model", model_path(o.model.path)},
                   {"text", o.text.file},
                   {"kv", o.model.kv}}) +
        "\n");
  return exit_ok;
}

}  // namespace

CommandBody add_perplexity(CLI::App& command) {
  const auto o = std::make_shared<PerplexityOptions>();
  o->model.kv = "f32";
  command.footer(
      "Cuts, scores and sums up as llama.cpp's llama-perplexity does: the text is encoded once (a line end at its very end is\n"
      "dropped, special tokens in it are ordinary text) and cut into chunks of --ctx tokens; where the model wants one, BOS\n"
      "takes the place of a chunk's first token; the tokens of a chunk's second half are scored. [N]X is the estimate after N\n"
      "chunks. With --stride no BOS is put and each chunk's last N tokens are scored. Perplexities compare only between "
      "models\n"
      "with one vocabulary, on one text, with one --ctx and --stride.");
  add_scored_text_flags(command, o->text);
  command.add_flag("--json", o->json, "one JSON object in place of readable text");
  add_model_flag(command, o->model);
  add_threads_flag(command, o->model);
  add_compute_flags(command, o->model);
  add_progress_flag(command);
  return [o] { return perplexity(*o); };
}

}  // namespace bitnet::cli
