// `bitnet bench`: tokens per second beside the bytes per second they cost.
#include <CLI/CLI.hpp>

#include "cli/bench_report.h"
#include "cli/commands.h"
#include "cli/energy_meter.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "common/error.h"
#include "common/stopwatch.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t max_values = 256;  // of one list
constexpr std::int64_t max_tokens = 1 << 24, max_repetitions = 1000, max_parallel = 256;

struct BenchOptions {
  ModelOptions model;
  std::string prompt = "512", generate = "128", depth = "0", parallel = "1", threads = "0", output = "md";
  std::int64_t repetitions = 5;
};

// "a,b", "a-b" and "a-b+s" mixed; every value in [0, max_tokens].
std::vector<std::int64_t> parse_list(const std::string& flag, const std::string& text) {
  const auto bad = [&](std::string_view part) {
    fail(ErrorKind::usage, "{}: '{}' is not N, A-B or A-B+STEP with 0 to {}", flag, printable(part, 32), max_tokens);
  };
  std::vector<std::int64_t> values;
  std::string_view rest = text;
  while (true) {
    const std::size_t comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    const std::size_t dash = part.find('-'), plus = part.find('+');
    const auto first = parse_integer(part.substr(0, dash));
    const auto last = dash == std::string_view::npos
                          ? first
                          : parse_integer(part.substr(dash + 1, plus == std::string_view::npos ? plus : plus - dash - 1));
    const auto step = plus == std::string_view::npos ? std::optional<std::int64_t>(1) : parse_integer(part.substr(plus + 1));
    if (!first || !last || !step || *first < 0 || *last < *first || *last > max_tokens || *step < 1 ||
        (plus < dash && plus != std::string_view::npos))
      bad(part);
    for (std::int64_t value = *first; value <= *last; value += *step) {
      if (values.size() == max_values) fail(ErrorKind::usage, "{}: has more than {} values", flag, max_values);
      values.push_back(value);
    }
    if (comma == std::string_view::npos) return values;
    rest.remove_prefix(comma + 1);
  }
}

std::int64_t largest(const std::vector<std::int64_t>& values) { return *std::max_element(values.begin(), values.end()); }

// Fixed pseudo-random ids (splitmix64), the same in every run.
std::vector<TokenId> test_tokens(std::int64_t count, std::int64_t n_vocab) {
  std::vector<TokenId> ids;
  std::uint64_t state = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    ids.push_back(static_cast<TokenId>((z ^ z >> 31) % static_cast<std::uint64_t>(n_vocab)));
  }
  return ids;
}

// The lists of tests to run.
struct BenchPlan {
  std::vector<std::int64_t> prompts, generates, parallel, depths, threads;
};

class Bench {
 public:
  Bench(const BenchOptions& options, const BenchPlan& plan, Engine& engine)
      : options_(options), plan_(plan), engine_(engine), tokens_(test_tokens(longest(plan), engine.config().n_vocab)) {
    for (std::int64_t i = 0; i < largest(plan.parallel); ++i) sessions_.push_back(engine.new_session());
  }

  static std::int64_t longest(const BenchPlan& plan) {
    return largest(plan.depths) + std::max(largest(plan.prompts), largest(plan.generates));
  }

  std::vector<BenchRow> at_depth(std::int64_t depth, double bandwidth) {
    for (Session& session : sessions_) {
      truncate(session, 0);
      for (std::int64_t at = 0; at < depth; at += chunk) {
        stop_if_interrupted();
        engine_.evaluate(session, part(at, std::min(chunk, depth - at)), sampled_);
      }
    }
    std::vector<BenchRow> rows;
    for (const std::int64_t n : plan_.prompts) {
      if (n > 0)
        rows.push_back(measure({.test = name("pp", n, 1, depth), .prompt = n, .depth = depth, .read_bandwidth = bandwidth}));
    }
    for (const std::int64_t n : plan_.generates) {
      for (const std::int64_t sequences : plan_.parallel) {
        if (n == 0) continue;
        BenchRow row{.test = name("tg", n, sequences, depth), .generated = n, .depth = depth, .sequences = sequences};
        row.read_bandwidth = bandwidth;
        if (sequences == 1) row.bytes_per_token = engine_.bytes_per_token(depth + n / 2);
        rows.push_back(measure(std::move(row)));
      }
    }
    return rows;
  }

 private:
  static constexpr std::int64_t chunk = 512;  // between looks at Ctrl-C

  static std::string name(const char* kind, std::int64_t n, std::int64_t sequences, std::int64_t depth) {
    std::string text = fmt::format("{}{}", kind, n);
    if (sequences > 1) text += fmt::format("x{}", sequences);
    return depth == 0 ? text : fmt::format("{}@d{}", text, depth);
  }

  std::span<const TokenId> part(std::int64_t begin, std::int64_t count) const {
    return std::span(tokens_).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
  }

  static void truncate(Session& session, std::int64_t depth) {
    session.cache->set_length(depth);
    session.ids.resize(static_cast<std::size_t>(depth));
  }

  // One token more for each sequence of the row.
  void generate(const BenchRow& row, std::int64_t position) {
    const std::span<const TokenId> token = part(position, 1);
    if (row.sequences == 1) {
      engine_.evaluate(sessions_.front(), token, sampled_);
      return;
    }
    std::vector<Engine::Step> steps;
    for (std::int64_t i = 0; i < row.sequences; ++i)
      steps.push_back({&sessions_[static_cast<std::size_t>(i)], token, {&sampled_, 1}});
    engine_.step(steps, {});
  }

  // Seconds of one pass; the sessions are back at their depth afterwards.
  double pass(const BenchRow& row) {
    const Stopwatch stopwatch;
    if (row.prompt > 0) engine_.evaluate(sessions_.front(), part(row.depth, row.prompt), sampled_);
    for (std::int64_t i = 0; i < row.generated; ++i) {
      stop_if_interrupted();
      generate(row, row.depth + i);
    }
    const double seconds = stopwatch.seconds();
    for (Session& session : sessions_) truncate(session, row.depth);
    return seconds;
  }

  BenchRow measure(BenchRow row) {
    ProgressBar progress(fmt::format("{} with {} threads", row.test, engine_.threads()));
    row.threads = engine_.threads();
    const auto count = static_cast<std::uint64_t>(options_.repetitions) + 1;
    const HiddenZeros before = engine_.hidden_zeros();
    EnergyMeter meter;
    std::vector<double> joules;  // per token
    for (std::uint64_t i = 0; i < count; ++i) {
      stop_if_interrupted();
      progress.update(i, count);
      meter.lap();
      const double tokens = static_cast<double>(row.prompt + row.generated * row.sequences), seconds = pass(row);
      if (i == 0) continue;  // warms up
      row.samples.push_back(tokens / seconds);
      if (const auto used = meter.lap()) joules.push_back(*used / tokens);
    }
    if (!joules.empty()) row.joules_per_token = median(joules);
    row.sparse_limits = engine_.sparse_limits();
    row.zeros = engine_.hidden_zeros() - before;
    if (row.bytes_per_token) {
      *row.bytes_per_token -=
          static_cast<std::uint64_t>(row.zeros.bytes_skipped) / (count * static_cast<std::uint64_t>(row.generated));
    }
    return row;
  }

  const BenchOptions& options_;
  const BenchPlan& plan_;
  Engine& engine_;
  std::vector<TokenId> tokens_;
  const LogitQuery sampled_{.count = SamplingParams().top_k};  // what the default sampling settings need
  std::vector<Session> sessions_;                              // as many as ever generate together
};

int bench(BenchOptions o) {
  const BenchPlan plan{parse_list("-p", o.prompt), parse_list("-n", o.generate), parse_list("--parallel", o.parallel),
                       parse_list("-d", o.depth), parse_list("-t", o.threads)};
  if (largest(plan.threads) > 1024) fail(ErrorKind::usage, "-t: {} threads, at most 1024 are allowed", largest(plan.threads));
  if (largest(plan.parallel) > max_parallel || std::ranges::min(plan.parallel) < 1)
    fail(ErrorKind::usage, "--parallel: allowed are 1 to {} sequences", max_parallel);
  if (o.repetitions < 1 || o.repetitions > max_repetitions) {
    fail(ErrorKind::usage, "-r is {}, allowed are 1 to {}", o.repetitions, max_repetitions);
  }
  const InterruptGuard guard;
  o.model.engine.threads = static_cast<int>(plan.threads.front());
  const std::string path = model_path(o.model.path);
  o.model.path = path;
  const std::unique_ptr<Engine> engine = open_engine(o.model);
  if (Bench::longest(plan) > engine->n_ctx()) {
    fail(ErrorKind::too_big, "the longest test has {} tokens, the context holds {}", Bench::longest(plan), engine->n_ctx());
  }

  Bench runner(o, plan, *engine);
  std::vector<BenchRow> rows;
  for (const std::int64_t count : plan.threads) {
    engine->set_threads(static_cast<int>(count));
    const double bandwidth = measure_read_bandwidth(engine->threads());
    for (const std::int64_t depth : plan.depths) {
      for (BenchRow& row : runner.at_depth(depth, bandwidth)) rows.push_back(std::move(row));
    }
  }
  print(bench_report(o.output,
                     {path, engine->config().architecture, engine->isa(), o.model.kv, engine->weight_bytes(), machine_card()},
                     rows));
  return exit_ok;
}

}  // namespace

CommandBody add_bench(CLI::App& command) {
  const auto o = std::make_shared<BenchOptions>();
  command.footer(
      "pp = reading a prompt, tg = generating, @d = with that many tokens before. Beside the tokens per second stand the\n"
      "bytes per second they cost and what this machine's memory can give; below, where Linux lets this process read RAPL's\n"
      "counters, the joules per token. A LIST is N,N and ranges A-B or A-B+STEP.");
  add_model_flag(command, o->model);
  command.add_option("-p", o->prompt, "prompt lengths; 0 = none")->type_name("LIST")->capture_default_str();
  command.add_option("-n", o->generate, "tokens to generate; 0 = none")->type_name("LIST")->capture_default_str();
  command.add_option("-d", o->depth, "tokens already in the context")->type_name("LIST")->capture_default_str();
  command.add_option("--parallel", o->parallel, "sequences that generate together; their tokens per second are added up")
      ->type_name("LIST")
      ->capture_default_str();
  command.add_option("-t,--threads", o->threads, "threads; 0 = one per physical core that this process may use")
      ->type_name("LIST")
      ->envname("BITNET_THREADS")
      ->capture_default_str();
  command.add_option("-r,--repetitions", o->repetitions, "measured passes of each test, behind one that warms up")
      ->type_name("N")
      ->capture_default_str();
  command.add_option("-o,--output", o->output, "md, csv, json (an array of rows) or jsonl")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"md", "csv", "json", "jsonl"}))
      ->capture_default_str();
  add_engine_flags(command, o->model);
  return [o] { return bench(*o); };
}

}  // namespace bitnet::cli
