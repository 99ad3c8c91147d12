// The commands of the program: each declares its flags and hands back what to do once they are parsed.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace bitnet::cli {

// Runs the command with its parsed flags and returns the exit code; throws Error and OutputClosed.
using CommandBody = std::function<int()>;

CommandBody add_run(CLI::App& command);
CommandBody add_chat(CLI::App& command);
CommandBody add_inspect(CLI::App& command);
CommandBody add_tokenize(CLI::App& command);
CommandBody add_detokenize(CLI::App& command);
CommandBody add_logits(CLI::App& command);
CommandBody add_perplexity(CLI::App& command);
CommandBody add_kld(CLI::App& command);
CommandBody add_eval(CLI::App& command);
CommandBody add_convert(CLI::App& command);
CommandBody add_quantize(CLI::App& command);
CommandBody add_verify(CLI::App& command);
CommandBody add_split(CLI::App& command);
CommandBody add_merge(CLI::App& command);
CommandBody add_embed(CLI::App& command);
CommandBody add_batch(CLI::App& command);
CommandBody add_serve(CLI::App& command);
CommandBody add_bench(CLI::App& command);
CommandBody add_doctor(CLI::App& command);
CommandBody add_pull(CLI::App& command);
CommandBody add_list(CLI::App& command);
CommandBody add_rm(CLI::App& command);

}  // namespace bitnet::cli
