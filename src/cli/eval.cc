// `bitnet eval`: how often a model finds the right one of several answers more probable than the others.
#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/commands.h"
#include "cli/eval_tasks.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/scored_text.h"
#include "cli/terminal.h"
#include "common/error.h"
#include "inference/quality.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t max_file_bytes = 256u << 20;

struct EvalOptions {
  ModelOptions model;
  std::string task, file, shots_file;
  std::int64_t limit = -1, shots = 0;
  bool json = false;
};

struct NumberedItem {
  std::int64_t line;
  EvalItem item;
};

[[noreturn]] void fail_at(const std::string& file, std::int64_t line, const Error& error) {
  fail(error.kind(), "{}: line {}: {}", printable(file, 512), line, error.what());
}

Json parse_line(std::string_view line) {
  try {
    Json value = Json::parse(line);
    if (!value.is_object()) fail(ErrorKind::usage, "is {}, not an object", value.type_name());
    return value;
  } catch (const Json::parse_error& error) {
    fail(ErrorKind::usage, "is not JSON: wrong at byte {}", error.byte);
  }
}

// At most `limit` items, -1 = all; blank lines are passed over.
std::vector<NumberedItem> read_items(const std::string& path, const EvalTask& task, std::int64_t limit) {
  const std::string content = read_text_file(path, max_file_bytes);
  std::vector<NumberedItem> items;
  std::string_view rest = content;
  for (std::int64_t number = 1; !rest.empty() && static_cast<std::int64_t>(items.size()) != limit; ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    try {
      items.push_back({number, task.read(parse_line(line))});
    } catch (const Error& error) {
      fail_at(path, number, error);
    }
  }
  if (items.empty()) fail(ErrorKind::usage, "{}: has no items", printable(path, 512));
  return items;
}

// The first examples of a file, as they stand in front of each question.
std::string read_examples(const EvalOptions& o, const EvalTask& task) {
  if (o.shots == 0) return "";
  const std::vector<NumberedItem> items = read_items(o.shots_file, task, o.shots);
  if (static_cast<std::int64_t>(items.size()) < o.shots) {
    fail(ErrorKind::usage, "{}: has {} items, --shots wants {}", printable(o.shots_file, 512), items.size(), o.shots);
  }
  std::string text;
  for (const NumberedItem& numbered : items) text += example_text(numbered.item);
  return text;
}

// Encodes context and answer as lm-evaluation-harness does: blanks between them go to the answer, whose tokens are what the
// whole has behind as many tokens as the context alone has.
class PairEncoder {
 public:
  explicit PairEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
    const Vocabulary& v = tokenizer.vocabulary();
    if (adds_bos(tokenizer)) bos_ = v.bos;
    prefix_ = v.bos ? v.bos : v.eos;
    if (v.bos) bos_text_ = tokenizer.token_text(*v.bos);
  }

  Choice encode(const std::string& context, const std::string& answer) const {
    const std::size_t kept = context.size() - trailing_space(context);
    const std::string whole = context + answer;
    Choice choice{kept == 0 ? std::vector<TokenId>() : encode(std::string_view(whole).substr(0, kept)), {}};
    if (kept == 0) {
      choice.continuation = plain(whole);
      if (prefix_ && (choice.continuation.empty() || choice.continuation.front() != *prefix_)) {
        choice.context = {*prefix_};
      } else if (!choice.continuation.empty()) {
        choice.context = {choice.continuation.front()};
        choice.continuation.erase(choice.continuation.begin());
      }
    } else {
      const std::vector<TokenId> ids = encode(whole);
      const std::size_t first = std::min(choice.context.size(), ids.size());
      choice.continuation.assign(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
    }
    if (choice.context.empty() || choice.continuation.empty()) {
      fail(ErrorKind::usage, "an answer has no tokens of its own behind the question");
    }
    return choice;
  }

 private:
  std::vector<TokenId> plain(std::string_view text) const { return tokenizer_.encode(text, {.add_special = false}); }
  std::vector<TokenId> encode(std::string_view text) const {
    std::vector<TokenId> ids = plain(text);
    if (bos_ && !text.starts_with(bos_text_)) ids.insert(ids.begin(), *bos_);
    return ids;
  }

  const Tokenizer& tokenizer_;
  std::optional<TokenId> bos_, prefix_;  // put before a text; before an empty one
  std::string bos_text_;
};

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// Place of the first largest of the likelihoods, each divided by its answer's length.
template <class Length>
std::size_t best(const EvalItem& item, const std::vector<ChoiceLikelihood>& found, const Length& length) {
  std::size_t best = 0;
  const auto value = [&](std::size_t i) {
    return found[i].log_probability / static_cast<double>(length(item.choices[i].answer));
  };
  for (std::size_t i = 1; i < found.size(); ++i) best = value(i) > value(best) ? i : best;
  return best;
}

struct Scores {
  Mean acc, acc_norm, acc_bytes, chance;
  std::int64_t truncated = 0;
  Json samples = Json::array();

  void add(const EvalTask& task, const NumberedItem& numbered, const std::vector<ChoiceLikelihood>& found) {
    const EvalItem& item = numbered.item;
    const bool plain = best(item, found, [](const std::string&) { return 1; }) == item.gold;
    const bool norm = best(item, found, characters) == item.gold;
    const bool bytes = best(item, found, [](const std::string& text) { return text.size(); }) == item.gold;
    acc.add(plain), acc_norm.add(norm), acc_bytes.add(bytes), chance.add(1.0 / static_cast<double>(found.size()));
    Json likelihoods = Json::array(), greedy = Json::array();
    bool cut = false;
    for (const ChoiceLikelihood& choice : found) {
      likelihoods.push_back(choice.log_probability), greedy.push_back(choice.is_top);
      cut = cut || choice.dropped > 0;
    }
    truncated += cut;
    samples.push_back({{"line", numbered.line},
                       {"gold", item.gold},
                       {"log_likelihoods", likelihoods},
                       {"is_greedy", greedy},
                       {"acc", plain}});
    if (task.normalised) samples.back()["acc_norm"] = norm, samples.back()["acc_bytes"] = bytes;
  }
};

struct Figure {
  const char* name;
  Estimate value;
};

std::vector<Figure> figures(const EvalTask& task, const Scores& scores) {
  std::vector<Figure> all = {{"acc", scores.acc.estimate()}};
  if (task.normalised) {
    all.push_back({"acc_norm", scores.acc_norm.estimate()});
    all.push_back({"acc_bytes", scores.acc_bytes.estimate()});
  }
  return all;
}

void report(const EvalOptions& o, const EvalTask& task, Scores& scores) {
  const double chance = scores.chance.estimate().value;
  if (o.json) {
    Json json = {{"task", task.name}, {"items", scores.acc.count()}, {"shots", o.shots}};
    for (const Figure& figure : figures(task, scores)) {
      json[figure.name] = figure.value.value;
      json[std::string(figure.name) + "_stderr"] = figure.value.error;
    }
    json["chance"] = chance, json["truncated"] = scores.truncated;
    json["model"] = model_path(o.model.path), json["file"] = o.file, json["kv"] = o.model.kv;
    json["samples"] = std::move(scores.samples);
    return print(json_text(json) + "\n");
  }
  std::string text = fmt::format("{}: {} items, {} shots, chance {:.4f}\n", task.name, scores.acc.count(), o.shots, chance);
  for (const Figure& figure : figures(task, scores))
    text += fmt::format("{:<9} {:.4f} +- {:.4f}\n", figure.name, figure.value.value, figure.value.error);
  print(text);
  if (scores.truncated > 0) {
    print_note(fmt::format("{} items did not fit into the context and lost their start", scores.truncated));
  }
}

void check_usage(const EvalOptions& o) {
  if (o.shots < 0 || o.shots > 1000) fail(ErrorKind::usage, "--shots is {}, allowed are 0 to 1000", o.shots);
  if (o.shots > 0 && o.shots_file.empty()) fail(ErrorKind::usage, "--shots needs --shots-file, where the examples stand");
  if (o.limit < -1 || o.limit == 0) fail(ErrorKind::usage, "--limit is {}, allowed are -1 (all) and 1 or more", o.limit);
}

int eval(const EvalOptions& o) {
  check_usage(o);
  const auto named = [&](const EvalTask& task) { return o.task == task.name; };
  const EvalTask& task = *std::find_if(eval_tasks().begin(), eval_tasks().end(), named);
  const std::vector<NumberedItem> items = read_items(o.file, task, o.limit);
  const std::string examples = read_examples(o, task);
  const InterruptGuard guard;
  const std::unique_ptr<Engine> engine = open_engine(o.model);
  const PairEncoder encoder(tokenizer_of(*engine));
  LikelihoodScorer scorer(*engine, stop_if_interrupted);
  Scores scores;
  ProgressBar progress(task.name, "items");
  for (const NumberedItem& numbered : items) {
    try {
      std::vector<Choice> choices;
      for (const EvalChoice& choice : numbered.item.choices)
        choices.push_back(encoder.encode(examples + choice.context, " " + choice.answer));
      scores.add(task, numbered, scorer.score_choices(choices));
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::cancelled) throw;
      fail_at(o.file, numbered.line, error);
    }
    progress.update(static_cast<std::uint64_t>(scores.acc.count()), items.size(),
                    fmt::format("acc {:.4f}", scores.acc.estimate().value));
  }
  progress.clear();
  report(o, task, scores);
  return exit_ok;
}

std::string task_help() {
  std::string text = "Prompts, scoring and standard errors are those of lm-evaluation-harness. Fields of a line, by task:\n";
  for (const EvalTask& task : eval_tasks()) text += fmt::format("  {:<14} {}\n", task.name, task.layout);
  return text +
         "acc: the right answer has the largest likelihood; acc_norm: divided by its characters; acc_bytes: by its bytes. "
         "Where\n"
         "the harness draws examples at random, --shots takes the first of a file.";
}

}  // namespace

CommandBody add_eval(CLI::App& command) {
  const auto o = std::make_shared<EvalOptions>();
  o->model.kv = "f32";
  command.footer(task_help());
  std::vector<std::string> names;
  for (const EvalTask& task : eval_tasks()) names.emplace_back(task.name);
  command.add_option("--task", o->task, "arc_easy, arc_challenge, hellaswag, winogrande, piqa, boolq or openbookqa")
      ->type_name("NAME")
      ->check(CLI::IsMember(names))
      ->required();
  command.add_option("-f,--file", o->file, "the questions, a JSON object a line; - is standard input")
      ->type_name("FILE")
      ->required();
  command.add_option("--limit", o->limit, "questions to ask, from the first on; -1 = all")
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--shots", o->shots, "examples with their answers in front of each question")
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--shots-file", o->shots_file, "where the examples stand, in the same layout")->type_name("FILE");
  command.add_flag("--json", o->json, "one JSON object, with each answer's log-likelihood, in place of readable text");
  add_model_flag(command, o->model);
  add_threads_flag(command, o->model);
  add_engine_flags(command, o->model);
  add_progress_flag(command);
  return [o] { return eval(*o); };
}

}  // namespace bitnet::cli
