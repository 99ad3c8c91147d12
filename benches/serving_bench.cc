// Does the scheduler cost what its batches cost? 8 streams against the bare batch, a prefix again, a long prompt among streams.
//
// bitnet-serving-bench MODEL [-t N] [--rounds N]: prints three ratios, each with its bound; exit code 1 when one is missed.
// What is compared runs in turn in one process, and medians are compared, so that what disturbs the machine meets both.
#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "common/stopwatch.h"
#include "inference/engine.h"
#include "inference/scheduler.h"

namespace bitnet {
namespace {

constexpr std::size_t streams = 8;
constexpr std::int64_t steps_a_round = 12, chunk = 128;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::vector<TokenId> random_ids(std::mt19937& random, std::int64_t count, std::int64_t n_vocab) {
  std::vector<TokenId> ids(static_cast<std::size_t>(count));
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % static_cast<std::uint64_t>(n_vocab));
  return ids;
}

SequenceRequest greedy(std::vector<TokenId> prompt, std::int64_t tokens) {
  SequenceRequest request;
  request.generate.prompt = std::move(prompt);
  request.generate.max_tokens = tokens;
  request.generate.sampling.temperature = 0;
  request.generate.ignore_eos = true;
  request.generate.drafts = 0;  // batches are compared, not what may spare them
  return request;
}

double timed(const auto& body) {
  const Stopwatch stopwatch;
  body();
  return stopwatch.seconds();
}

// The same number of sessions, stepped by nobody but this loop.
class BareBatch {
 public:
  BareBatch(Engine& engine, const std::vector<std::vector<TokenId>>& prompts) : engine_(engine), last_(prompts.size()) {
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      sessions_.push_back(engine.new_session());
      last_[i] = highest(engine.evaluate(sessions_[i], prompts[i], query_));
    }
  }

  void step() {
    std::vector<Engine::Step> steps;
    for (std::size_t i = 0; i < last_.size(); ++i) steps.push_back({&sessions_[i], {&last_[i], 1}, {&query_, 1}});
    std::vector<TokenId> next(last_.size());
    engine_.step(steps, [&](std::size_t i, std::size_t, const LogitSet& logits) { next[i] = highest(logits); });
    last_ = std::move(next);
  }

 private:
  static TokenId highest(const LogitSet& logits) {
    const auto best = std::max_element(logits.values.begin(), logits.values.end()) - logits.values.begin();
    return logits.id(static_cast<std::size_t>(best));
  }

  Engine& engine_;
  const LogitQuery query_{1, 0, {}};
  std::vector<Session> sessions_;
  std::vector<TokenId> last_;
};

bool report(const char* what, double value, double bound, bool at_least) {
  const bool holds = at_least ? value >= bound : value <= bound;
  fmt::print("  {:<58}{:>7.3f}   {} {:.2f}: {}\n", what, value, at_least ? "at least" : "at most ", bound,
             holds ? "holds" : "MISSED");
  return holds;
}

bool throughput(Engine& engine, int rounds, std::mt19937& random) {
  std::vector<std::vector<TokenId>> prompts;
  for (std::size_t i = 0; i < streams; ++i) prompts.push_back(random_ids(random, 32, engine.config().n_vocab));
  const std::int64_t tokens = steps_a_round * (rounds + 1) + 1;
  Scheduler scheduler(engine, {.prefix_cache = false});
  for (const auto& prompt : prompts) scheduler.submit(greedy(prompt, tokens), {});
  while (scheduler.status().prompt_tokens < 32 * streams) scheduler.step();
  BareBatch bare(engine, prompts);
  std::vector<double> with, without;
  for (int round = 0; round < rounds; ++round) {
    for (std::int64_t i = 0; i < steps_a_round; ++i) with.push_back(timed([&] { scheduler.step(); }));
    for (std::int64_t i = 0; i < steps_a_round; ++i) without.push_back(timed([&] { bare.step(); }));
  }
  fmt::print("8 streams, {} steps each way: {:.2f} ms a step through the scheduler, {:.2f} ms bare\n", with.size(),
             1e3 * median(with), 1e3 * median(without));
  return report("throughput of the scheduler over the bare batch's", median(without) / median(with), 0.9, true);
}

double first_token(Scheduler& scheduler, SequenceRequest request) {
  double seconds = 0;
  scheduler.submit(std::move(request),
                   {{}, [&](const GenerateResult& result, const Error*) { seconds = result.timings.first_token_seconds; }});
  while (scheduler.step()) {
  }
  return seconds;
}

bool prefix(Engine& engine, std::int64_t length, int rounds, std::mt19937& random) {
  Scheduler scheduler(engine);
  std::vector<double> first, second, ratios;
  for (int round = 0; round < rounds; ++round) {
    const std::vector<TokenId> common = random_ids(random, length, engine.config().n_vocab);
    for (std::vector<double>* times : {&first, &second}) {
      std::vector<TokenId> prompt = common;
      for (const TokenId id : random_ids(random, 8, engine.config().n_vocab)) prompt.push_back(id);
      times->push_back(first_token(scheduler, greedy(std::move(prompt), 2)));
    }
    ratios.push_back(second.back() / first.back());
  }
  fmt::print("a prefix of {} tokens, {} times: first token after {:.1f} ms, the second time after {:.1f} ms\n", length, rounds,
             1e3 * median(first), 1e3 * median(second));
  return report("time to the first token, second request over first", median(ratios), 0.05, false);
}

// While a prompt is read, a step should take no longer than a step of the streams and a chunk of the prompt one after the
// other: then the streams wait for the chunk's share and for nothing else. Both are measured in turn, at the same depth of the
// prompt.
bool stretch(Engine& engine, std::int64_t length, std::mt19937& random) {
  const std::int64_t n_vocab = engine.config().n_vocab, chunks = length / chunk;
  constexpr std::int64_t most_chunks = 45;
  std::vector<double> without, with, ratios;
  while (static_cast<std::int64_t>(with.size()) + chunks <= most_chunks || with.empty()) {
    Scheduler scheduler(engine, {.prompt_chunk = chunk, .prefix_cache = false});
    for (std::size_t i = 0; i < streams / 2; ++i) scheduler.submit(greedy(random_ids(random, 16, n_vocab), 3 * chunks + 8), {});
    while (scheduler.status().prompt_tokens < 16 * streams / 2) scheduler.step();
    std::vector<double> decode;
    for (std::int64_t i = 0; i < chunks; ++i) decode.push_back(timed([&] { scheduler.step(); }));
    const double alone = median(decode);
    const std::vector<TokenId> prompt = random_ids(random, chunks * chunk, n_vocab);
    scheduler.submit(greedy(prompt, 1), {});
    Session session = engine.new_session();
    for (std::int64_t i = 0; i < chunks; ++i) {
      const auto part = std::span(prompt).subspan(static_cast<std::size_t>(i * chunk), static_cast<std::size_t>(chunk));
      const Engine::Step step{&session, part};
      const auto read = [&] { return timed([&] { engine.step({&step, 1}, {}); }); };
      const auto mix = [&] { return timed([&] { scheduler.step(); }); };
      const double first = i % 2 == 0 ? read() : mix(), second = i % 2 == 0 ? mix() : read();
      const double chunk_alone = i % 2 == 0 ? first : second, mixed = i % 2 == 0 ? second : first;
      with.push_back(mixed), ratios.push_back(mixed / (alone + chunk_alone));
    }
    without.push_back(alone);
  }
  fmt::print("a prompt of {} tokens among {} streams: a step takes {:.2f} ms without, {:.2f} ms with {} tokens of it\n",
             chunks * chunk, streams / 2, 1e3 * median(without), 1e3 * median(with), chunk);
  return report("step with a chunk over step without plus chunk alone", median(ratios), 1.0, false);
}

int run(const std::string& path, int threads, int rounds) {
  const auto engine = Engine::open(path, {.threads = threads});
  std::mt19937 random(1);
  const std::int64_t length = std::min<std::int64_t>(2000, engine->n_ctx() - 64);
  fmt::print("{}: {} threads, {}, context of {}\n", path, engine->threads(), engine->isa(), engine->n_ctx());
  bool all = throughput(*engine, rounds, random);
  all &= prefix(*engine, length, std::max(3, rounds / 3), random);
  all &= stretch(*engine, length, random);
  return all ? 0 : 1;
}

}  // namespace
}  // namespace bitnet

int main(int argc, char** argv) {
  int threads = 0, rounds = 9;
  std::string path;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if ((argument == "-t" || argument == "--rounds") && i + 1 < argc) {
      (argument == "-t" ? threads : rounds) = std::atoi(argv[++i]);
    } else {
      path = argument;
    }
  }
  if (path.empty() || rounds < 1) {
    fmt::print(stderr, "usage: bitnet-serving-bench MODEL [-t N] [--rounds N]\n");
    return 2;
  }
  try {
    return bitnet::run(path, threads, rounds);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
