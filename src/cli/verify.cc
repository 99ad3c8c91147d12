// `bitnet verify`: do two files hold the same weights, tensor by tensor?
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "common/cpu_set.h"
#include "common/error.h"
#include "models/weight_comparison.h"

namespace bitnet::cli {
namespace {

struct VerifyOptions {
  std::string a, b;
  bool exact = false, json = false;
  int threads = 0;
};

struct Row {
  std::string name, types;
  WeightDifference difference;
};

std::string_view text_of(Likeness likeness) {
  static constexpr std::string_view words[] = {"equal", "rounded", "different"};
  return words[static_cast<std::size_t>(likeness)];
}

// A head that one model lacks is the embedding there.
const SourceWeight* counterpart(const SourceModel& model, const SourceWeight& weight) {
  const SourceWeight* found = model.find(weight.name);
  return found == nullptr && weight.role == WeightRole::head ? model.find(WeightRole::embedding) : found;
}

Row missing(const SourceWeight& weight, const SourceModel& from) {
  return {weight.name,
          std::string(info(weight.view.type).name),
          {Likeness::different, fmt::format("is missing in {}", printable(from.path(), 512)),
           static_cast<std::uint64_t>(weight.view.shape.elements()), 0}};
}

std::vector<Row> compare_models(const SourceModel& a, const SourceModel& b, ThreadPool& pool) {
  ProgressBar progress("comparing", "bytes");
  std::uint64_t done = 0;
  std::vector<Row> rows;
  for (const SourceWeight& weight : a.weights) {
    stop_if_interrupted();
    const SourceWeight* other = counterpart(b, weight);
    if (other == nullptr) {
      rows.push_back(missing(weight, b));
    } else {
      const std::string from(info(weight.view.type).name), to(info(other->view.type).name);
      rows.push_back({weight.name, from == to ? from : from + ", " + to, compare(weight, *other, pool)});
    }
    progress.update(done += weight.view.bytes.size(), a.bytes());
  }
  for (const SourceWeight& weight : b.weights) {
    if (a.find(weight.name) != nullptr) continue;
    const SourceWeight* other = counterpart(a, weight);
    if (other == nullptr) {
      rows.push_back(missing(weight, a));
    } else {
      rows.push_back({weight.name, std::string(info(weight.view.type).name), compare(*other, weight, pool)});
    }
  }
  return rows;
}

std::uint64_t count(const std::vector<Row>& rows, Likeness likeness) {
  return static_cast<std::uint64_t>(
      std::count_if(rows.begin(), rows.end(), [&](const Row& row) { return row.difference.likeness == likeness; }));
}

Json json_of(const std::vector<Row>& rows, bool same) {
  Json tensors = Json::array();
  for (const Row& row : rows) {
    tensors.push_back({{"name", row.name},
                       {"types", row.types},
                       {"result", text_of(row.difference.likeness)},
                       {"fact", row.difference.fact},
                       {"weights_that_differ", row.difference.weights},
                       {"largest_difference", row.difference.largest}});
  }
  return {{"same", same},
          {"equal", count(rows, Likeness::equal)},
          {"rounded", count(rows, Likeness::rounded)},
          {"different", count(rows, Likeness::different)},
          {"tensors", std::move(tensors)}};
}

std::string text_of(const std::vector<Row>& rows, bool same) {
  std::string text;
  for (const Row& row : rows) {
    if (row.difference.likeness == Likeness::equal) continue;
    text += fmt::format("{} {} ({}): {}; {} weights, the largest difference is {}\n", text_of(row.difference.likeness),
                        printable(row.name), row.types, row.difference.fact, row.difference.weights, row.difference.largest);
  }
  return text + fmt::format("{}: {} tensors equal, {} rounded, {} different\n", same ? "same weights" : "not the same weights",
                            count(rows, Likeness::equal), count(rows, Likeness::rounded), count(rows, Likeness::different));
}

int verify(const VerifyOptions& o) {
  const InterruptGuard guard;
  const SourceModel a = open_source(o.a), b = open_source(o.b);
  ThreadPool pool(thread_count(o.threads));
  const std::vector<Row> rows = compare_models(a, b, pool);
  const bool same = count(rows, Likeness::different) == 0 && (!o.exact || count(rows, Likeness::rounded) == 0);
  print(o.json ? json_text(json_of(rows, same), 2, true) + "\n" : text_of(rows, same));
  return same ? exit_ok : exit_runtime;
}

}  // namespace

CommandBody add_verify(CLI::App& command) {
  const auto o = std::make_shared<VerifyOptions>();
  command.footer(
      "Ternary weights are the same when all codes and scales are equal, whichever types hold them. Other weights are equal, "
      "or\n"
      "rounded: no value is further off than the step of the coarser type. Ends with 0 for the same weights, with 1 "
      "otherwise.");
  command.add_option("a", o->a, "GGUF file, the first part of one in several, or a HuggingFace folder")
      ->type_name("")
      ->required();
  command.add_option("b", o->b, "the same")->type_name("")->required();
  command.add_flag("--exact", o->exact, "rounded values are different, too");
  command.add_flag("--json", o->json, "one JSON object in place of readable text");
  command.add_option("-t,--threads", o->threads, "0 = one per physical core that this process may use")
      ->type_name("N")
      ->envname("BITNET_THREADS")
      ->capture_default_str();
  add_progress_flag(command);
  return [o] { return verify(*o); };
}

}  // namespace bitnet::cli
