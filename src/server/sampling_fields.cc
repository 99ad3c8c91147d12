// Sampling fields, read one by one from tables of their names.
#include "server/sampling_fields.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <random>

namespace bitnet::server {
namespace {

template <class T>
struct NumberField {
  const char* name;
  T SamplingParams::* member;
  double low, high;
};

// Names of OpenAI's, llama.cpp's and vLLM's fields; where two stand for one parameter, the first that is there counts. The
// exact bounds are the sampler's.
constexpr double any = 1e9;
constexpr std::array<NumberField<float>, 17> float_fields = {{
    {"temperature", &SamplingParams::temperature, 0, 100},
    {"top_p", &SamplingParams::top_p, 0, 1},
    {"min_p", &SamplingParams::min_p, 0, 1},
    {"typical_p", &SamplingParams::typical_p, 0, 1},
    {"presence_penalty", &SamplingParams::presence_penalty, -2, 2},
    {"frequency_penalty", &SamplingParams::frequency_penalty, -2, 2},
    {"repeat_penalty", &SamplingParams::repeat_penalty, 0, 10},
    {"repetition_penalty", &SamplingParams::repeat_penalty, 0, 10},
    {"dry_multiplier", &SamplingParams::dry_multiplier, 0, 100},
    {"dry_base", &SamplingParams::dry_base, 1, 10},
    {"top_n_sigma", &SamplingParams::top_n_sigma, -1, any},
    {"xtc_probability", &SamplingParams::xtc_probability, 0, 1},
    {"xtc_threshold", &SamplingParams::xtc_threshold, 0, 1},
    {"dynatemp_range", &SamplingParams::dynatemp_range, 0, 100},
    {"dynatemp_exponent", &SamplingParams::dynatemp_exponent, 0, 10},
    {"mirostat_tau", &SamplingParams::mirostat_tau, 0, 100},
    {"mirostat_eta", &SamplingParams::mirostat_eta, 0, 1},
}};
constexpr std::array<NumberField<std::int32_t>, 5> integer_fields = {{
    {"top_k", &SamplingParams::top_k, -1, any},
    {"repeat_last_n", &SamplingParams::repeat_last_n, -1, any},
    {"dry_allowed_length", &SamplingParams::dry_allowed_length, 1, any},
    {"dry_penalty_last_n", &SamplingParams::dry_penalty_last_n, -1, any},
    {"mirostat", &SamplingParams::mirostat, 0, 2},
}};

std::int64_t as_token(const std::string& text) {
  std::int64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() ? id : -1;
}

// OpenAI writes an object of ids, llama.cpp a list of pairs, too, where false bans.
void read_biases(const Fields& fields, const SamplingLimits& limits, std::int64_t n_vocab, SamplingParams& sampling) {
  const Json* biases = fields.find("logit_bias");
  if (biases == nullptr) return;
  const std::string field = fields.name("logit_bias");
  if (!biases->is_structured()) bad_field(field, "is not an object");
  if (biases->size() > static_cast<std::size_t>(limits.most_biases))
    bad_field(field, "has {} entries, at most {} are allowed", biases->size(), limits.most_biases);
  const auto add = [&](std::int64_t id, const std::string& written, const Json& value) {
    if (id < 0 || id >= n_vocab) bad_field(field, "names token '{}', allowed are 0 to {}", printable(written), n_vocab - 1);
    const bool bans = value.is_boolean() && !value.get<bool>();
    if (!bans && !value.is_number()) bad_field(field, "gives token {} no number", id);
    const double bias = bans ? -100 : value.get<double>();
    if (!(bias >= -100 && bias <= 100)) bad_field(field, "is {} for token {}, allowed are -100 to 100", bias, id);
    // OpenAI: -100 and 100 ban and force.
    const float applied = bias <= -100 ? -std::numeric_limits<float>::infinity() : static_cast<float>(bias);
    sampling.logit_bias.emplace_back(static_cast<TokenId>(id), applied);
  };
  if (biases->is_object()) {
    for (const auto& [key, value] : biases->items()) add(as_token(key), key, value);
    return;
  }
  for (const Json& pair : *biases) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_integer())
      bad_field(field, "has an entry that is not [token, bias]");
    add(pair[0].get<std::int64_t>(), pair[0].dump(), pair[1]);
  }
}

}  // namespace

void read_stops(const Fields& fields, const char* name, GenerateRequest& generate, const SamplingLimits& limits) {
  const Json* stop = fields.find(name);
  if (stop == nullptr) return;
  const Json list = stop->is_array() ? *stop : Json::array({*stop});
  if (list.size() > static_cast<std::size_t>(limits.most_stops))
    bad_field(fields.name(name), "has {} entries, at most {} are allowed", list.size(), limits.most_stops);
  for (const Json& entry : list) {
    if (!entry.is_string()) bad_field(fields.name(name), "is not a string or a list of strings");
    auto text = entry.get<std::string>();
    if (text.empty()) continue;  // clients send "" for none
    if (text.size() > static_cast<std::size_t>(limits.most_stop_bytes))
      bad_field(fields.name(name), "has an entry of {} bytes, at most {} are allowed", text.size(), limits.most_stop_bytes);
    generate.stop.push_back(std::move(text));
  }
}

void read_sampling(const Fields& fields, const Engine& engine, GenerateRequest& generate, const SamplingLimits& limits) {
  generate.sampling = engine.recommended_sampling();
  for (const auto& field : float_fields) {
    if (const auto value = fields.number(field.name, field.low, field.high))
      generate.sampling.*field.member = static_cast<float>(*value);
  }
  for (const auto& field : integer_fields) {
    const auto value = fields.integer(field.name, static_cast<std::int64_t>(field.low), static_cast<std::int64_t>(field.high));
    if (value) generate.sampling.*field.member = static_cast<std::int32_t>(*value);
  }
  generate.sampling.top_k = std::max(generate.sampling.top_k, 0);  // vLLM writes -1 for off
  const auto seed =
      fields.integer("seed", std::numeric_limits<std::int64_t>::min() / 2, std::numeric_limits<std::int64_t>::max() / 2);
  // llama.cpp's clients send -1 for a random one.
  generate.sampling.seed = seed && *seed != -1 ? static_cast<std::uint64_t>(*seed) : std::random_device()();
  read_biases(fields, limits, engine.config().n_vocab, generate.sampling);
  generate.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  try {
    check(generate.sampling, engine.config().n_vocab);
  } catch (const Error& error) {
    throw api_error(error);
  }
}

}  // namespace bitnet::server
