// Declares the shared flags and turns them into the library's settings.
#include "cli/options.h"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <random>

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "common/error.h"
#include "models/hub/cache.h"
#include "models/hub/settings.h"

namespace bitnet::cli {
namespace {

KvType kv_type(const std::string& name) {
  if (name == "f32") return KvType::f32;
  return name == "int8" ? KvType::int8 : KvType::f16;
}

std::string executable_folder() {
  std::string path(4096, '\0');
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  path.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return path.substr(0, path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
}

bool is_file(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

// What exists under this name is meant, whatever else it could mean; then a model in the cache.
std::string file_or_pulled(const std::string& path) {
  struct stat status = {};
  const bool only_a_file = path.ends_with(".gguf") && path.find(':') == std::string::npos;
  if (only_a_file || ::stat(path.c_str(), &status) == 0) return path;
  const auto name = hub::parse_model_name(path);
  if (!name) return path;
  const std::string cache = hub::cache_folder_from_environment();
  if (const auto found = hub::find_cached(cache, *name)) return *found;
  fail(ErrorKind::not_found, "{}: no such file, and no such model in {}; `bitnet pull {}` gets it", printable(path, 512),
       printable(cache, 512), printable(path, 512));
}

// "15=-2.5", "15+1", "15-inf": the id, then what is added to its logit.
std::pair<TokenId, float> parse_bias(const std::string& text) {
  const std::size_t split = text.find_first_of("=+-", 1);
  if (split != std::string::npos) {
    const std::size_t number = text[split] == '-' ? split : split + 1;
    const auto id = parse_integer(std::string_view(text).substr(0, split));
    const auto bias = parse_number(std::string_view(text).substr(number));
    if (id && bias && *id >= 0 && *id <= std::numeric_limits<TokenId>::max()) {
      return {static_cast<TokenId>(*id), static_cast<float>(*bias)};
    }
  }
  fail(ErrorKind::usage, "--logit-bias: '{}' is not ID=BIAS, ID+BIAS or ID-BIAS", printable(text));
}

}  // namespace

void add_model_flag(CLI::App& command, ModelOptions& options) {
  command
      .add_option("-m,--model", options.path,
                  "GGUF file, folder with config.json and SafeTensors, .safetensors file in one, or a pulled model as "
                  "OWNER/NAME[:FILE];\n"
                  "BITNET_MODEL, then the installed default model, when not given")
      ->type_name("FILE");
}

void add_engine_flags(CLI::App& command, ModelOptions& options) {
  command.add_option("--ctx", options.engine.n_ctx, "positions of context; 0 = what the model was trained for")
      ->type_name("N")
      ->capture_default_str();
  add_compute_flags(command, options);
}

void add_compute_flags(CLI::App& command, ModelOptions& options) {
  command
      .add_option("--isa", options.engine.isa,
                  "kernels by name, see `bitnet doctor`; BITNET_ISA, then the best, when not given")
      ->type_name("NAME");
  command.add_option("--kv", options.kv, "key-value cache: f32, f16 or int8")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"f32", "f16", "int8"}))
      ->capture_default_str();
  command.add_option("--chunk", options.engine.chunk, "prompt tokens per forward pass; never changes a result")
      ->type_name("N")
      ->capture_default_str();
}

void add_threads_flag(CLI::App& command, ModelOptions& options) {
  command.add_option("-t,--threads", options.engine.threads, "0 = one per physical core that this process may use")
      ->type_name("N")
      ->envname("BITNET_THREADS")
      ->capture_default_str();
}

std::vector<std::string> default_model_candidates() {
  std::vector<std::string> candidates;
  if (const char* variable = std::getenv("BITNET_MODEL"); variable != nullptr && *variable != '\0') {
    candidates.emplace_back(variable);
  }
  const std::string folder = executable_folder();
  // An installed program, one in a build folder of a checkout, one that was copied together with its model.
  for (const char* place : {"/../share/bitnet/default.gguf", "/../../../models/default.gguf", "/default.gguf"}) {
    candidates.push_back(std::filesystem::path(folder + place).lexically_normal().string());
  }
  return candidates;
}

std::optional<std::string> find_default_model() {
  for (const std::string& path : default_model_candidates()) {
    if (is_file(path)) return path;
  }
  return std::nullopt;
}

std::string model_path(const std::string& path) {
  if (!path.empty()) return file_or_pulled(path);
  // A variable that names a missing file is a mistake, not a reason to take another model.
  if (const char* variable = std::getenv("BITNET_MODEL"); variable != nullptr && *variable != '\0')
    return file_or_pulled(variable);
  if (const auto found = find_default_model()) return *found;
  std::string places;
  for (const std::string& candidate : default_model_candidates()) {
    places += (places.empty() ? "" : ", ") + printable(candidate, 512);
  }
  fail(ErrorKind::not_found, "no model: give -m FILE or set BITNET_MODEL; there is no default model at {}", places);
}

EngineOptions engine_options(const ModelOptions& options) {
  EngineOptions engine = options.engine;
  engine.kv = kv_type(options.kv);
  return engine;
}

std::unique_ptr<Engine> open_engine(const ModelOptions& options) {
  ProgressBar progress("loading", "bytes");
  return Engine::open(model_path(options.path), engine_options(options), [&](std::uint64_t done, std::uint64_t total) {
    stop_if_interrupted();
    progress.update(done, total);
  });
}

std::span<const SamplerField> sampler_fields() {
  static constexpr std::array<SamplerField, 21> fields = {{
      {"temp", "temperature; 0 = always the most likely token", &SamplingParams::temperature},
      {"top-k", "keep the K most likely tokens; 0 = off", &SamplingParams::top_k},
      {"top-p", "keep the most likely tokens that make up probability P; 1 = off", &SamplingParams::top_p},
      {"min-p", "keep tokens of at least P times the best one's probability; 0 = off", &SamplingParams::min_p},
      {"typical-p", "locally typical sampling; 1 = off", &SamplingParams::typical_p},
      {"repeat-penalty", "makes recent tokens less likely; 1 = off", &SamplingParams::repeat_penalty},
      {"repeat-last-n", "tokens that count as recent; 0 = none, -1 = all", &SamplingParams::repeat_last_n},
      {"presence-penalty", "subtracted once from a recent token's logit", &SamplingParams::presence_penalty},
      {"frequency-penalty", "subtracted for each time a token is among the recent ones", &SamplingParams::frequency_penalty},
      {"dry-multiplier", "DRY: what prolonging a repeat costs; 0 = off", &SamplingParams::dry_multiplier},
      {"dry-base", "DRY: by how much the cost grows with each token of the repeat", &SamplingParams::dry_base},
      {"dry-allowed-length", "DRY: tokens that may repeat for nothing", &SamplingParams::dry_allowed_length},
      {"dry-penalty-last-n", "DRY: tokens in which repeats are sought; 0 = none, -1 = all",
       &SamplingParams::dry_penalty_last_n},
      {"top-n-sigma", "keep logits within N standard deviations of the best; -1 = off", &SamplingParams::top_n_sigma},
      {"xtc-probability", "XTC: how often the most likely tokens are left out; 0 = never", &SamplingParams::xtc_probability},
      {"xtc-threshold", "XTC: of tokens with at least this probability the least likely stays", &SamplingParams::xtc_threshold},
      {"dynatemp-range", "temperature +- X by how even the probabilities are; 0 = off", &SamplingParams::dynatemp_range},
      {"dynatemp-exp", "bends how the temperature follows the evenness", &SamplingParams::dynatemp_exponent},
      {"mirostat", "1 or 2: hold the surprise of tokens steady, instead of top-k to XTC; 0 = off", &SamplingParams::mirostat},
      {"mirostat-ent", "mirostat: the surprise wanted, in bits", &SamplingParams::mirostat_tau},
      {"mirostat-lr", "mirostat: how fast it learns", &SamplingParams::mirostat_eta},
  }};
  return fields;
}

void add_sampling_flags(CLI::App& command, SamplingOptions& options) {
  command.add_option("-n,--max-tokens", options.max_tokens, "tokens to generate; -1 = until the context is full")
      ->type_name("N")
      ->capture_default_str();
  for (const SamplerField& field : sampler_fields()) {
    std::visit(
        [&](auto member) {
          command.add_option(std::string("--") + field.name, options.params.*member, field.help)
              ->type_name("X")
              ->capture_default_str()
              ->each([&options, &field](const std::string&) { options.given.push_back(&field); });
        },
        field.member);
  }
  command
      .add_option("--dry-sequence-breaker", options.params.dry_sequence_breakers,
                  "DRY: no repeat reaches over a token with this text; may be repeated")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->take_all();
  command.add_option("--seed", options.seed, "the same seed gives the same text; random when not given")->type_name("N");
  command.add_option("--logit-bias", options.logit_bias, "ID=BIAS added to a token's logit, ID-inf bans it; may be repeated")
      ->type_name("ID=BIAS")
      ->allow_extra_args(false);
  command.add_option("--stop", options.stop, "end before this text appears; may be repeated")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  command.add_flag("--ignore-eos", options.ignore_eos, "go on behind the model's end of text");
  command
      .add_option(
          "--prompt-lookup", options.prompt_lookup,
          "tokens a step drafts from what followed the same words before: auto = where it pays, off, or N; never changes\n"
          "the text")
      ->type_name("N")
      ->capture_default_str();
}

SamplingParams resolve(const SamplingOptions& options, const SamplingParams& recommended) {
  if (options.max_tokens < -1) fail(ErrorKind::usage, "--max-tokens is {}, allowed are -1 and more", options.max_tokens);
  for (const std::string& stop : options.stop) {
    if (stop.empty()) fail(ErrorKind::usage, "--stop is empty");
  }
  SamplingParams params = recommended;
  params.dry_sequence_breakers = options.params.dry_sequence_breakers;
  for (const SamplerField* field : options.given)
    std::visit([&](auto member) { params.*member = options.params.*member; }, field->member);
  for (const std::string& bias : options.logit_bias) params.logit_bias.push_back(parse_bias(bias));
  std::random_device random;
  params.seed = options.seed.value_or(random());
  check(params, std::numeric_limits<TokenId>::max());
  return params;
}

std::int64_t resolve_drafts(const SamplingOptions& options) {
  if (options.prompt_lookup == "auto") return drafts_auto;
  if (options.prompt_lookup == "off") return 0;
  const auto drafts = parse_integer(options.prompt_lookup);
  if (!drafts || *drafts < 1 || *drafts > most_drafts) {
    fail(ErrorKind::usage, "--prompt-lookup is '{}', allowed are auto, off and 1 to {}", printable(options.prompt_lookup, 32),
         most_drafts);
  }
  return *drafts;
}

std::vector<TokenId> parse_ids(std::string_view text, std::string_view what) {
  std::vector<TokenId> ids;
  while (true) {
    const std::size_t comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    const auto id = parse_integer(part);
    if (!id || *id < 0 || *id > std::numeric_limits<TokenId>::max()) {
      fail(ErrorKind::usage, "{}: entry {} is '{}', not a token id", what, ids.size() + 1, printable(part, 32));
    }
    ids.push_back(static_cast<TokenId>(*id));
    if (comma == std::string_view::npos) return ids;
    text.remove_prefix(comma + 1);
  }
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_number(std::string_view text) {
  const std::string copy(text);
  if (copy.empty() || copy.find_first_not_of("+-.0123456789einf") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (end != copy.c_str() + copy.size()) return std::nullopt;
  return value;
}

}  // namespace bitnet::cli
