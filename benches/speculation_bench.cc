// What does a drafted token cost, and what does prompt lookup gain or lose?
//
// bitnet-speculation-bench MODEL [TOKENS [TURNS [THREADS [PROMPT]]]]: 48 tokens, 5 turns, all cores; without PROMPT, 64 random
// ids. Turns with and without drafts alternate, so that what disturbs the machine disturbs both; figures are medians.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "common/error.h"
#include "inference/draft_policy.h"
#include "inference/engine.h"

namespace bitnet {
namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Drafts that repeat a known text, each right with some probability.
DraftSource oracle(const std::vector<TokenId>& text, double right) {
  return [&text, right, random = std::mt19937(1)](std::span<const TokenId> history, std::size_t most) mutable {
    Draft draft;
    for (std::size_t i = history.size(); i < text.size() && draft.ids.size() < most; ++i)
      draft.ids.push_back(std::uniform_real_distribution<>()(random) < right ? text[i] : text[i] == 0 ? 1 : 0);
    return draft;
  };
}

class Bench {
 public:
  Bench(Engine& engine, GenerateRequest request, int turns)
      : engine_(engine), request_(std::move(request)), turns_(turns), session_(engine.new_session()) {
    request_.ignore_eos = true, request_.drafts = 0;
    text_ = request_.prompt;
    const std::vector<TokenId> ids = engine_.generate(session_, request_).ids;
    text_.insert(text_.end(), ids.begin(), ids.end());
  }

  // Steps with so many drafts that all come true.
  void print_costs() {
    std::vector<std::vector<double>> seconds(most_measured_drafts + 1);
    for (int turn = 0; turn < turns_; ++turn) {
      for (std::size_t drafts = 0; drafts < seconds.size(); ++drafts) {
        const Timings timings = run(static_cast<std::int64_t>(drafts), oracle(text_, 1));
        // The first token costs no step, and a draft none of its own.
        const auto steps = static_cast<double>(timings.generated_tokens - 1 - timings.accepted_tokens);
        seconds[drafts].push_back(timings.generate_seconds / steps);
      }
    }
    std::printf("| drafts | ms a step | steps without drafts | all right: faster by | breaks even when each is right |\n");
    std::printf("|---|---|---|---|---|\n");
    for (std::size_t drafts = 0; drafts < seconds.size(); ++drafts) {
      const double step = median(seconds[drafts]), ratio = step / median(seconds[0]);
      std::printf("| %zu | %.2f | %.2f | %.2f | %.0f %% |\n", drafts, 1e3 * step, ratio,
                  static_cast<double>(drafts + 1) / ratio, 100 * even(drafts, ratio));
    }
  }

  // Turns of drafts_auto beside turns without drafts.
  void print_gain(const char* name, const DraftSource& source = {}) {
    std::vector<double> gains, plain, drafting;
    Timings timings;
    run(drafts_auto, source);
    for (int turn = 0; turn < turns_; ++turn) {
      plain.push_back(run(0, {}).generate_seconds);
      timings = run(drafts_auto, source);
      drafting.push_back(timings.generate_seconds);
      gains.push_back(plain.back() / drafting.back());
    }
    std::sort(gains.begin(), gains.end());
    const auto tokens = static_cast<double>(timings.generated_tokens - 1);
    std::printf("| %s | %.1f | %.1f | %.3f (%.3f to %.3f) | %lld of %lld |\n", name, tokens / median(plain),
                tokens / median(drafting), median(gains), gains.front(), gains.back(),
                static_cast<long long>(timings.accepted_tokens), static_cast<long long>(timings.drafted_tokens));
    std::fflush(stdout);
  }

  const std::vector<TokenId>& text() const { return text_; }

 private:
  Timings run(std::int64_t drafts, const DraftSource& source) {
    request_.drafts = drafts, request_.draft_source = source;
    return engine_.generate(session_, request_).timings;
  }

  // The probability p with 1 + p + ... + p^drafts = ratio; above 1 where there is none.
  static double even(std::size_t drafts, double ratio) {
    double low = 0, high = 2;
    for (int i = 0; i < 50; ++i) {
      const double p = (low + high) / 2;
      double tokens = 1;
      for (std::size_t k = 1; k <= drafts; ++k) tokens += std::pow(p, static_cast<double>(k));
      (tokens < ratio ? low : high) = p;
    }
    return drafts == 0 ? 0 : high;
  }

  Engine& engine_;
  GenerateRequest request_;
  int turns_;
  Session session_;
  std::vector<TokenId> text_;  // the prompt and its continuation
};

void run(int argc, char** argv) {
  const auto number = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  const auto engine = Engine::open(argv[1], {.threads = number(4, 0)});
  const int turns = std::max(number(3, 5), 1);
  GenerateRequest request;
  request.max_tokens = std::max(number(2, 48), 16);
  std::mt19937 random(7);
  if (argc > 5) {
    request.prompt = engine->tokenizer()->encode(argv[5]);
  } else {
    for (int i = 0; i < 64; ++i)
      request.prompt.push_back(static_cast<TokenId>(random() % static_cast<std::uint32_t>(engine->config().n_vocab)));
  }
  std::printf("%s, %s, %d threads; %lld tokens, %d turns\n\n", argv[1], engine->isa(), engine->threads(),
              static_cast<long long>(request.max_tokens), turns);
  Bench sampled(*engine, request, turns);
  sampled.print_costs();
  std::printf("\n| text | tok/s without | tok/s with | faster by (least to most) | drafts right |\n|---|---|---|---|---|\n");
  sampled.print_gain("sampled, prompt lookup");
  request.sampling.temperature = 0;
  Bench(*engine, request, turns).print_gain("greedy, prompt lookup");
  for (const int percent : {0, 50, 80, 90, 100}) {
    sampled.print_gain(("drafts " + std::to_string(percent) + " % right").c_str(), oracle(sampled.text(), percent / 100.0));
  }
}

}  // namespace
}  // namespace bitnet

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s MODEL [TOKENS [TURNS [THREADS [PROMPT]]]]\n", argv[0]);
    return 2;
  }
  try {
    bitnet::run(argc, argv);
  } catch (const bitnet::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
