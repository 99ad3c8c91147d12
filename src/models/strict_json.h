// JSON out of untrusted files: parsed with bounds, every name once per object.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace bitnet {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  std::uint64_t bytes = 64u << 20;
  int depth = 64;  // of objects and arrays in each other
};

// `name` is the file's, for errors. Objects keep the file's order. Throws Error{bad_model} for text that is not JSON (RFC 8259,
// in UTF-8, nothing before or behind but white space), a name that an object repeats, or a limit that is passed.
Json parse_json(std::string_view text, const std::string& name, JsonLimits limits = {});

// nlohmann's lexer takes a zero byte for the end, whatever follows it. Throws Error{bad_model}.
void check_no_zero_bytes(std::string_view text, const std::string& name);

// What nlohmann's parser threw, as words about the text: "... at byte N: ...".
std::string json_fact(const nlohmann::json::exception& error);

}  // namespace bitnet
