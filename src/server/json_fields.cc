// Bounded parsing and typed fields.
#include "server/json_fields.h"

#include <cmath>

namespace bitnet::server {

Json parse_json(std::string_view text, const JsonLimits& limits) {
  std::size_t values = 0;
  const auto bounded = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > limits.depth)
      throw ApiError(400, "invalid_request_error", fmt::format("the JSON is nested deeper than {} levels", limits.depth));
    if (++values > limits.values)
      throw ApiError(400, "invalid_request_error", fmt::format("the JSON has more than {} parts", limits.values));
    return true;
  };
  try {
    return Json::parse(text, bounded);
  } catch (const nlohmann::json::parse_error& error) {
    throw ApiError(400, "invalid_request_error", fmt::format("the body is not JSON: at byte {}", error.byte));
  } catch (const nlohmann::json::exception&) {
    throw ApiError(400, "invalid_request_error", "the body is not JSON: a number does not fit");
  }
}

Fields::Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
  if (object.is_object()) return;
  const std::string what = path_.empty() ? "the body" : path_.substr(0, path_.size() - 1);
  throw ApiError(400, "invalid_request_error", what + " is not a JSON object", "", path_.empty() ? "" : what);
}

const Json* Fields::find(const char* name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::string> Fields::text(const char* name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) bad_field(this->name(name), "is not a string");
  return value->get<std::string>();
}

std::optional<bool> Fields::boolean(const char* name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) bad_field(this->name(name), "is not true or false");
  return value->get<bool>();
}

std::optional<std::int64_t> Fields::integer(const char* name, std::int64_t low, std::int64_t high) const {
  const auto value = number(name, static_cast<double>(low), static_cast<double>(high));
  if (!value) return std::nullopt;
  if (*value != std::floor(*value)) bad_field(this->name(name), "is {}, it must be an integer", *value);
  const Json& found = *find(name);
  // Large integers keep every digit.
  return found.is_number_integer() ? found.get<std::int64_t>() : static_cast<std::int64_t>(*value);
}

std::optional<double> Fields::number(const char* name, double low, double high) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) bad_field(this->name(name), "is not a number");
  const auto number = value->get<double>();
  if (!(number >= low && number <= high)) bad_field(this->name(name), "is {}, allowed are {} to {}", number, low, high);
  return number;
}

const Json* Fields::array(const char* name, std::size_t most) const {
  const Json* value = find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) bad_field(this->name(name), "is not a list");
  if (value->size() > most) bad_field(this->name(name), "has {} entries, at most {} are allowed", value->size(), most);
  return value;
}

const Json* Fields::object(const char* name) const {
  const Json* value = find(name);
  if (value != nullptr && !value->is_object()) bad_field(this->name(name), "is not an object");
  return value;
}

}  // namespace bitnet::server
