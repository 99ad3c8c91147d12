// Formats rates, sizes and timings.
#include "cli/report.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <array>

namespace bitnet::cli {
namespace {

double rate(std::int64_t count, double seconds) { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }

// The first token comes from the prompt's last logits, so n tokens take n - 1 decode steps.
std::int64_t decode_steps(const Timings& timings) { return timings.generated_tokens > 1 ? timings.generated_tokens - 1 : 0; }

}  // namespace

std::string json_text(const Json& value, int indent, bool ascii) {
  return value.dump(indent, ' ', ascii, Json::error_handler_t::replace);
}

Json timings_json(const Timings& timings) {
  return {{"prompt_tokens", timings.prompt_tokens},
          {"cached_tokens", timings.cached_tokens},
          {"generated_tokens", timings.generated_tokens},
          {"drafted_tokens", timings.drafted_tokens},
          {"accepted_tokens", timings.accepted_tokens},
          {"prompt_seconds", timings.prompt_seconds},
          {"first_token_seconds", timings.first_token_seconds},
          {"generate_seconds", timings.generate_seconds},
          {"prompt_tokens_per_second", rate(timings.prompt_tokens, timings.prompt_seconds)},
          {"generated_tokens_per_second", rate(decode_steps(timings), timings.generate_seconds)}};
}

std::string stats_line(const Timings& timings, const Engine& engine, const Session& session, std::uint64_t seed) {
  const std::uint64_t kv = static_cast<std::uint64_t>(session.cache->length()) * engine.kv_bytes_per_token();
  return fmt::format(
      "prompt {} tokens at {:.1f} tok/s ({} cached), generated {} at {:.1f} tok/s ({} of {} drafts came true), first token "
      "after {:.2f} s; "
      "weights {}, cache {}, peak memory {}; {} threads, {}, seed {}",
      timings.prompt_tokens, rate(timings.prompt_tokens, timings.prompt_seconds), timings.cached_tokens,
      timings.generated_tokens, rate(decode_steps(timings), timings.generate_seconds), timings.accepted_tokens,
      timings.drafted_tokens, timings.first_token_seconds, byte_text(static_cast<double>(engine.weight_bytes())),
      byte_text(static_cast<double>(kv)), byte_text(static_cast<double>(peak_memory())), engine.threads(), engine.isa(), seed);
}

std::string byte_text(double bytes) {
  static constexpr std::array<const char*, 5> units = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < units.size()) bytes /= 1024, ++unit;
  return unit == 0 ? fmt::format("{:.0f} B", bytes)
                   : fmt::format("{:.{}f} {}", bytes,
                                 bytes < 10    ? 2
                                 : bytes < 100 ? 1
                                               : 0,
                                 units[unit]);
}

std::uint64_t peak_memory() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace bitnet::cli
