// Reading untrusted JSON: parsing under bounds, and fields of an object by type and range, each wrong one named.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/api_error.h"

namespace bitnet::server {

struct JsonLimits {
  int depth = 64;
  std::size_t values = 200'000;
  std::size_t keys = 2048;  // of one object
};

// Throws ApiError 400: not JSON (with the place), not UTF-8, too deep, too many values or keys.
Json parse_json(std::string_view text, const JsonLimits& limits = {});

// The fields of one object. null counts as absent, as clients write it. Every find throws ApiError 400 naming the field when it
// is there with another type or outside its range. Keeps a reference to the object.
class Fields {
 public:
  // `path` stands before the names: "messages[2]."
  explicit Fields(const Json& object, std::string path = "");

  const Json* find(const char* name) const;
  std::optional<std::string> text(const char* name) const;
  std::optional<bool> boolean(const char* name) const;
  std::optional<std::int64_t> integer(const char* name, std::int64_t low, std::int64_t high) const;
  std::optional<double> number(const char* name, double low, double high) const;
  const Json* array(const char* name, std::size_t most) const;
  const Json* object(const char* name) const;

  std::string name(const char* field) const { return path_ + field; }

 private:
  const Json& object_;
  std::string path_;
};

}  // namespace bitnet::server
