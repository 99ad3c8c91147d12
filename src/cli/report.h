// What a generation cost, as JSON and as one line.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "inference/engine.h"

namespace bitnet::cli {

using Json = nlohmann::ordered_json;

// One line of ASCII-safe or UTF-8 JSON; broken UTF-8 becomes U+FFFD. With `indent` >= 0 on several lines.
std::string json_text(const Json& value, int indent = -1, bool ascii = false);

Json timings_json(const Timings& timings);

// "prompt 12 tokens at 345.6 tok/s, generated 128 at 42.1 tok/s, first token after 0.04 s, ...".
std::string stats_line(const Timings& timings, const Engine& engine, const Session& session, std::uint64_t seed);

// 1536 -> "1.50 KiB".
std::string byte_text(double bytes);

// Largest resident memory of this process so far, in bytes.
std::uint64_t peak_memory();

}  // namespace bitnet::cli
