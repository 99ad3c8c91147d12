// `bitnet logits`: the scores of every position as a NumPy file.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/npy.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "common/error.h"

namespace bitnet::cli {
namespace {

struct LogitsOptions {
  ModelOptions model;
  std::string ids, prompt, out;
};

std::vector<TokenId> token_ids(const LogitsOptions& o, const Engine& engine) {
  if (!o.ids.empty()) return parse_ids(o.ids, "--ids");
  if (engine.tokenizer() == nullptr) fail(ErrorKind::usage, "{}: give the tokens with --ids", engine.tokenizer_problem());
  return engine.tokenizer()->encode(o.prompt);
}

int write_logits(const LogitsOptions& o) {
  if (o.ids.empty() == o.prompt.empty()) fail(ErrorKind::usage, "give the tokens once: with --ids or with -p");
  const InterruptGuard guard;
  const std::unique_ptr<Engine> engine = open_engine(o.model);
  const std::vector<TokenId> ids = token_ids(o, *engine);
  const auto total = static_cast<std::int64_t>(ids.size());
  NpyFile file(o.out, total, engine->config().n_vocab);
  ProgressBar progress("computing", "tokens");
  engine->logits(ids, o.model.engine.chunk, [&](std::int64_t position, std::span<const float> logits) {
    stop_if_interrupted();
    file.append(logits);
    progress.update(static_cast<std::uint64_t>(position) + 1, static_cast<std::uint64_t>(total));
  });
  file.commit();
  return exit_ok;
}

}  // namespace

CommandBody add_logits(CLI::App& command) {
  const auto o = std::make_shared<LogitsOptions>();
  o->model.kv = "f32";
  command.footer("The file holds float32 of shape (tokens, vocabulary) in C order: every position, the full head.");
  command.add_option("--ids", o->ids, "token ids: 1,2,3")->type_name("IDS");
  command.add_option("-p,--prompt", o->prompt, "text in place of --ids")->type_name("TEXT");
  command.add_option("--out", o->out, "the file to write")->type_name("FILE.npy")->required();
  add_model_flag(command, o->model);
  add_threads_flag(command, o->model);
  add_engine_flags(command, o->model);
  add_progress_flag(command);
  return [o] { return write_logits(*o); };
}

}  // namespace bitnet::cli
