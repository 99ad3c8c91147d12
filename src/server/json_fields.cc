// Bounded parsing and typed fields.
#include "server/json_fields.h"

#include <cmath>
#include <vector>

namespace bitnet::server {

namespace {

// Counts before anything is built: what it lets pass is built in time that is linear in the text, but for the keys of an
// object, which are compared with each other.
class Bounds : public nlohmann::json_sax<Json> {
 public:
  explicit Bounds(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(number_integer_t) override { return count(); }
  bool number_unsigned(number_unsigned_t) override { return count(); }
  bool number_float(number_float_t, const string_t&) override { return count(); }
  bool string(string_t&) override { return count(); }
  bool binary(binary_t&) override { return count(); }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t&) override {
    if (++keys_.back() > limits_.keys) refuse(fmt::format("an object of the JSON has more than {} keys", limits_.keys));
    return true;
  }
  bool parse_error(std::size_t place, const std::string&, const nlohmann::detail::exception& error) override {
    // A number that no float holds is an error of its own there.
    refuse(error.id == 406 ? "the body is not JSON: a number does not fit"
                           : fmt::format("the body is not JSON: at byte {}", place));
  }

 private:
  [[noreturn]] static void refuse(const std::string& fact) { throw ApiError(400, "invalid_request_error", fact); }

  bool count() {
    if (++values_ > limits_.values) refuse(fmt::format("the JSON has more than {} parts", limits_.values));
    return true;
  }
  bool open() {
    keys_.push_back(0);
    if (keys_.size() > static_cast<std::size_t>(limits_.depth))
      refuse(fmt::format("the JSON is nested deeper than {} levels", limits_.depth));
    return count();
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  const JsonLimits& limits_;
  std::size_t values_ = 0;
  std::vector<std::size_t> keys_;  // of the objects and lists that are open
};

}  // namespace

Json parse_json(std::string_view text, const JsonLimits& limits) {
  // The parser takes a zero byte for the end, whatever follows.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos)
    throw ApiError(400, "invalid_request_error", fmt::format("the body is not JSON: at byte {}", zero + 1));
  Bounds bounds(limits);
  Json::sax_parse(text, &bounds);
  return Json::parse(text);
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
