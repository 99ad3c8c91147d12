// `bitnet kld`: how far one model's predictions lie from another's, both run side by side.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/scored_text.h"
#include "cli/terminal.h"
#include "common/error.h"

namespace bitnet::cli {
namespace {

struct KldOptions {
  ModelOptions model;  // what both share
  ScoredTextOptions text;
  std::string base, other;
  bool json = false;
};

[[noreturn]] void refuse(const KldOptions& o, const std::string& fact) {
  fail(ErrorKind::usage, "{} and {} cannot be compared: {}", printable(o.base, 512), printable(o.other, 512), fact);
}

// Both models must mean the same by each number.
void check_vocabularies(const KldOptions& o, const Engine& base, const Engine& other) {
  const std::int64_t n = base.config().n_vocab, m = other.config().n_vocab;
  if (n != m) refuse(o, fmt::format("the first has a vocabulary of {} tokens, the second of {}", n, m));
  const Tokenizer& a = tokenizer_of(base);
  if (other.tokenizer() == nullptr) return;
  const Tokenizer& b = *other.tokenizer();
  if (a.size() != b.size()) refuse(o, fmt::format("the first names {} tokens, the second {}", a.size(), b.size()));
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (a.token_text(id) == b.token_text(id)) continue;
    refuse(o, fmt::format("token {} is '{}' in the first and '{}' in the second", i, printable(a.token_text(id), 48),
                          printable(b.token_text(id), 48)));
  }
}

Json json_of(const Estimate& x) { return {{"value", x.value}, {"error", x.error}}; }

Json json_of(const std::vector<Percentile>& percentiles) {
  Json json = Json::object();
  for (const Percentile& p : percentiles) json[fmt::format("{}", p.percent)] = p.value;
  return json;
}

Json json_of(const KldOptions& o, const ScoredText& text, const DivergenceSummary& s) {
  const auto model = [](const std::string& path, const Estimate& perplexity) {
    return Json{{"model", path}, {"perplexity", perplexity.value}, {"perplexity_error", perplexity.error}};
  };
  return {{"base", model(o.base, s.p_perplexity)},
          {"other", model(o.other, s.q_perplexity)},
          {"correlation", s.correlation},
          {"log_ratio", json_of(s.log_ratio)},
          {"ratio", json_of(s.ratio)},
          {"kld", json_of(s.divergence)},
          {"kld_percentiles", json_of(s.divergences)},
          {"delta_p", json_of(s.delta)},
          {"delta_p_rms", json_of(s.delta_rms)},
          {"delta_p_percentiles", json_of(s.deltas)},
          {"same_top_p", json_of(s.same_top)},
          {"text", o.text.file},
          {"tokens", text.tokens.size()},
          {"scored_tokens", s.tokens},
          {"chunks", text.windows.size()},
          {"chunk_tokens", text.windows.front().end},
          {"stride", o.text.cut.stride},
          {"bos", text.bos},
          {"kv", o.model.kv}};
}

std::string percentile_name(double percent) {
  if (percent == 0) return "minimum";
  if (percent == 50) return "median";
  return percent == 100 ? "maximum" : fmt::format("{} %", percent);
}

std::string text_of(const ScoredText& text, const DivergenceSummary& s) {
  std::string out = fmt::format("{} of {} tokens scored in {} chunks of {}\n\n", s.tokens, text.tokens.size(),
                                text.windows.size(), text.windows.front().end);
  const auto line = [&](const char* name, const Estimate& x, double scale, const char* unit) {
    out += fmt::format("{:<26} {:>12.6f} +- {:.6f}{}\n", name, scale * x.value, scale * x.error, unit);
  };
  line("perplexity of the first", s.p_perplexity, 1, "");
  line("perplexity of the second", s.q_perplexity, 1, "");
  line("ratio, second to first", s.ratio, 1, "");
  line("ln ratio", s.log_ratio, 1, "");
  out += fmt::format("{:<26} {:>12.6f}\n", "correlation of ln P", s.correlation);
  line("mean KL divergence", s.divergence, 1, "");
  line("mean delta P", s.delta, 100, " %");
  line("RMS delta P", s.delta_rms, 100, " %");
  line("same top token", s.same_top, 100, " %");
  out += fmt::format("\n{:<9} {:>14} {:>12}\n", "", "KL divergence", "delta P");
  for (std::size_t i = 0; i < s.divergences.size(); ++i) {
    out += fmt::format("{:<9} {:>14.6f} {:>10.4f} %\n", percentile_name(s.divergences[i].percent), s.divergences[i].value,
                       100 * s.deltas[i].value);
  }
  return out;
}

int kld(const KldOptions& o) {
  const InterruptGuard guard;
  ModelOptions base_options = o.model, other_options = o.model;
  base_options.path = o.base, other_options.path = o.other;
  const std::unique_ptr<Engine> base = open_engine(base_options), other = open_engine(other_options);
  check_vocabularies(o, *base, *other);
  const ScoredText text = read_scored_text(o.text, *base, other.get());
  ProgressBar progress("comparing", "chunks");
  DivergenceStatistics statistics;
  std::uint64_t done = 0;
  Mean divergence;
  for (const TextWindow& window : text.windows) {
    for (const TokenComparison& token :
         compare(*base, *other, text.sequence(window, *base->tokenizer()), stop_if_interrupted)) {
      statistics.add(token), divergence.add(token.divergence);
    }
    progress.update(++done, text.windows.size(), fmt::format("KLD {:.6f}", divergence.estimate().value));
  }
  progress.clear();
  const DivergenceSummary summary = statistics.summary();
  print(o.json ? json_text(json_of(o, text, summary)) + "\n" : text_of(text, summary));
  return exit_ok;
}

}  // namespace

CommandBody add_kld(CLI::App& command) {
  const auto o = std::make_shared<KldOptions>();
  o->model.kv = "f32";
  command.footer(
      "Chunks and statistics are those of llama.cpp's llama-perplexity --kl-divergence, with the first model as the base. "
      "Both\n"
      "models run at once and whole rows of logits are compared as they come: no file is written, and nothing is rounded to "
      "16\n"
      "bits or left out below e^-16. KL divergence is of the second from the first, in nats; delta P is the probability of "
      "the\n"
      "text's token in the second less that in the first.");
  command.add_option("base", o->base, "the first model, a GGUF file")->type_name("")->required();
  command.add_option("other", o->other, "the second model, of the same vocabulary")->type_name("")->required();
  add_scored_text_flags(command, o->text);
  command.add_flag("--json", o->json, "one JSON object in place of readable text");
  add_threads_flag(command, o->model);
  add_compute_flags(command, o->model);
  add_progress_flag(command);
  return [o] { return kld(*o); };
}

}  // namespace bitnet::cli
