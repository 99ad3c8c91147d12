// Reads recommendations by one table of names, and translates them by the same.
#include "inference/recommended_sampling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <variant>

#include "common/error.h"

namespace bitnet {
namespace {

struct Field {
  const char* gguf;    // nullptr where there is no key
  const char* folder;  // nullptr where there is no entry
  std::variant<float SamplingParams::*, std::int32_t SamplingParams::*> member;
};

constexpr std::array<Field, 11> fields = {{
    {"general.sampling.temp", "temperature", &SamplingParams::temperature},
    {"general.sampling.top_k", "top_k", &SamplingParams::top_k},
    {"general.sampling.top_p", "top_p", &SamplingParams::top_p},
    {"general.sampling.min_p", "min_p", &SamplingParams::min_p},
    {nullptr, "typical_p", &SamplingParams::typical_p},
    {"general.sampling.penalty_repeat", "repetition_penalty", &SamplingParams::repeat_penalty},
    {"general.sampling.xtc_probability", nullptr, &SamplingParams::xtc_probability},
    {"general.sampling.xtc_threshold", nullptr, &SamplingParams::xtc_threshold},
    {"general.sampling.mirostat", nullptr, &SamplingParams::mirostat},
    {"general.sampling.mirostat_tau", nullptr, &SamplingParams::mirostat_tau},
    {"general.sampling.mirostat_eta", nullptr, &SamplingParams::mirostat_eta},
}};
constexpr const char* window_key = "general.sampling.penalty_last_n";

std::int32_t whole(double value, const std::string& file, std::string_view name) {
  if (value != std::floor(value) || std::fabs(value) > std::numeric_limits<std::int32_t>::max())
    fail(ErrorKind::bad_model, "{}: {} is {}, it must be a whole number of 32 bits", printable(file, 512), name, value);
  return static_cast<std::int32_t>(value);
}

void set(SamplingParams& params, const Field& field, double value, const std::string& file, std::string_view name) {
  if (const auto* number = std::get_if<float SamplingParams::*>(&field.member)) {
    params.*(*number) = static_cast<float>(value);
  } else {
    params.*std::get<std::int32_t SamplingParams::*>(field.member) = whole(value, file, name);
  }
}

// Checks what was set: bounds are the sampler's.
SamplingParams checked(SamplingParams params, const std::string& file) {
  params.temperature = params.temperature < 0 ? 0 : params.temperature;  // not for NaN
  params.top_k = std::max(params.top_k, 0);
  try {
    check(params, 0);
  } catch (const Error& error) {
    fail(ErrorKind::bad_model, "{}: recommends settings that cannot be: {}", printable(file, 512), error.what());
  }
  return params;
}

// What generation_config.json says of sampling: an object, empty when it says nothing. Not to sample is to take the best token.
Json sampling_entries(const HuggingFaceFolder& folder) {
  Json config = folder.find_json("generation_config.json").value_or(Json::object());
  const auto samples = config.find("do_sample");
  if (samples != config.end() && *samples == false) config["temperature"] = 0;
  return config;
}

std::optional<double> entry(const Json& config, const Field& field, const std::string& file) {
  if (field.folder == nullptr) return std::nullopt;
  const auto found = config.find(field.folder);
  if (found == config.end() || found->is_null()) return std::nullopt;
  if (!found->is_number()) fail(ErrorKind::bad_model, "{}: {} must be a number", printable(file, 512), field.folder);
  return found->get<double>();
}

SamplingParams read(const Json& config, const std::string& file) {
  SamplingParams params;
  for (const Field& field : fields) {
    if (const auto value = entry(config, field, file)) set(params, field, *value, file, field.folder);
  }
  if (params.repeat_penalty != 1) params.repeat_last_n = -1;
  return checked(std::move(params), file);
}

std::string file_of(const HuggingFaceFolder& folder) { return folder.path_of("generation_config.json"); }

}  // namespace

SamplingParams recommended_sampling(const GgufFile& file) {
  SamplingParams params;
  for (const Field& field : fields) {
    if (field.gguf == nullptr) continue;
    if (const auto value = file.find_number(field.gguf)) set(params, field, *value, file.path(), field.gguf);
  }
  if (const auto window = file.find_number(window_key)) params.repeat_last_n = whole(*window, file.path(), window_key);
  return checked(std::move(params), file.path());
}

SamplingParams recommended_sampling(const HuggingFaceFolder& folder) { return read(sampling_entries(folder), file_of(folder)); }

SamplingParams recommended_sampling(const ModelFiles& files) {
  return files.gguf() != nullptr ? recommended_sampling(*files.gguf()) : recommended_sampling(*files.folder());
}

void add_recommended_sampling(GgufMetadata& metadata, const HuggingFaceFolder& folder) {
  const Json config = sampling_entries(folder);
  const SamplingParams params = read(config, file_of(folder));
  for (const Field& field : fields) {
    if (field.gguf == nullptr || !entry(config, field, {})) continue;
    if (const auto* number = std::get_if<float SamplingParams::*>(&field.member)) {
      metadata.f32(field.gguf, params.*(*number));
    } else {
      metadata.i32(field.gguf, params.*std::get<std::int32_t SamplingParams::*>(field.member));
    }
  }
  if (params.repeat_penalty != 1) metadata.i32(window_key, params.repeat_last_n);
}

Json recommended_generation_config(const GgufFile& file) {
  const SamplingParams params = recommended_sampling(file);
  Json config = Json::object();
  for (const Field& field : fields) {
    if (field.gguf == nullptr || field.folder == nullptr || file.find(field.gguf) == nullptr) continue;
    std::visit([&](auto member) { config[field.folder] = params.*member; }, field.member);
  }
  if (!config.empty()) config["do_sample"] = params.temperature > 0;
  return config;
}

}  // namespace bitnet
