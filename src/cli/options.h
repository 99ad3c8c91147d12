// Options that several commands share: which model, how it computes, how tokens are picked.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "inference/engine.h"

namespace CLI {
class App;
}

namespace bitnet::cli {

struct ModelOptions {
  std::string path;  // empty = the default model
  std::string kv = "f16";
  EngineOptions engine = {};
};

void add_model_flag(CLI::App& command, ModelOptions& options);
// --ctx, and those of add_compute_flags.
void add_engine_flags(CLI::App& command, ModelOptions& options);
// --isa, --kv, --chunk.
void add_compute_flags(CLI::App& command, ModelOptions& options);
// -t, --threads; also from the environment variable BITNET_THREADS.
void add_threads_flag(CLI::App& command, ModelOptions& options);

// Where a default model is looked for, in this order.
std::vector<std::string> default_model_candidates();
std::optional<std::string> find_default_model();
// `path`, or the default model when it is empty; throws Error{not_found} that lists where it looked.
std::string model_path(const std::string& path);

// `options.engine` with --kv in it.
EngineOptions engine_options(const ModelOptions& options);

// Opens with a progress line on standard error. Throws what Engine::open and model_path throw; Error{cancelled} after Ctrl-C.
std::unique_ptr<Engine> open_engine(const ModelOptions& options);

// The numbers of SamplingParams by the names users know, one table for flags and for chat's /set.
struct SamplerField {
  const char* name;  // "top-k": the flag without its dashes
  const char* help;
  std::variant<float SamplingParams::*, std::int32_t SamplingParams::*> member;
};
std::span<const SamplerField> sampler_fields();

struct SamplingOptions {
  SamplingParams params;                   // as the flags say
  std::vector<const SamplerField*> given;  // those of the flags that were there
  std::optional<std::uint64_t> seed;       // absent = random
  std::vector<std::string> logit_bias;     // as written: "15=-2.5", "15+1", "15-inf"
  std::int64_t max_tokens = -1;
  std::vector<std::string> stop;
  bool ignore_eos = false;
  std::string prompt_lookup = "auto";
};

void add_sampling_flags(CLI::App& command, SamplingOptions& options);

// `recommended` by the model, but for what flags give; with seed and logit bias filled in. Throws Error{usage} for what is out
// of bounds, as far as that shows without a model.
SamplingParams resolve(const SamplingOptions& options, const SamplingParams& recommended = {});

// --prompt-lookup as GenerateRequest::drafts. Throws Error{usage}.
std::int64_t resolve_drafts(const SamplingOptions& options);

// "1,2,3" (blanks allowed) as ids; `what` names it in Error{usage}.
std::vector<TokenId> parse_ids(std::string_view text, std::string_view what);

// A whole number that fills `text`; nullopt otherwise.
std::optional<std::int64_t> parse_integer(std::string_view text);
// The same for a decimal fraction, "inf" and "-inf" included.
std::optional<double> parse_number(std::string_view text);

}  // namespace bitnet::cli
