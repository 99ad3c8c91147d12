// Builds a JSON value from the parser's events, counting depth and comparing names on the way.
#include "models/strict_json.h"

#include <set>
#include <vector>

#include "common/error.h"

namespace bitnet {
namespace {

// nlohmann's SAX interface. Its parser keeps no C++ stack of its own per level, so depth here bounds what later code walks.
class Builder {
 public:
  Builder(const std::string& name, int depth) : name_(printable(name, 512)), depth_(depth) {}

  Json result() { return std::move(root_); }

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(std::int64_t value) { return put(value); }
  bool number_unsigned(std::uint64_t value) { return put(value); }
  bool number_float(double value, const std::string&) { return put(value); }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }

  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    if (!levels_.back().names.insert(name).second) {
      fail(ErrorKind::bad_model, "{}: the name '{}' appears twice in one object", name_, printable(name));
    }
    levels_.back().name = std::move(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) {
    fail(ErrorKind::bad_model, "{}: is not JSON: {}", name_, json_fact(error));
  }

 private:
  struct Level {
    Json value;
    std::string name;             // of the member that comes next
    std::set<std::string> names;  // a tree: names cannot be made to collide in it
  };

  bool open(Json value) {
    if (static_cast<int>(levels_.size()) == depth_) {
      fail(ErrorKind::bad_model, "{}: is nested deeper than {}", name_, depth_);
    }
    levels_.push_back({std::move(value), {}, {}});
    return true;
  }

  bool close() {
    Json value = std::move(levels_.back().value);
    levels_.pop_back();
    return put(std::move(value));
  }

  bool put(Json value) {
    if (levels_.empty()) {
      root_ = std::move(value);
    } else if (Level& level = levels_.back(); level.value.is_object()) {
      // Without a search for the name, which key() has done: an object with many members would take quadratic time.
      level.value.get_ref<Json::object_t&>().emplace_back(std::move(level.name), std::move(value));
    } else {
      level.value.push_back(std::move(value));
    }
    return true;
  }

  std::string name_;
  int depth_;
  Json root_;
  std::vector<Level> levels_;
};

}  // namespace

std::string json_fact(const nlohmann::json::exception& error) {
  const std::string text = error.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
  const std::size_t end = text.find("] ");
  return printable(end == std::string::npos ? text : text.substr(end + 2), 200);
}

void check_no_zero_bytes(std::string_view text, const std::string& name) {
  const std::size_t at = text.find('\0');
  if (at != std::string_view::npos) fail(ErrorKind::bad_model, "{}: is not JSON: byte {} is zero", printable(name, 512), at);
}

Json parse_json(std::string_view text, const std::string& name, JsonLimits limits) {
  if (text.size() > limits.bytes) {
    fail(ErrorKind::bad_model, "{}: has {} bytes, at most {} are allowed", printable(name, 512), text.size(), limits.bytes);
  }
  check_no_zero_bytes(text, name);
  Builder builder(name, limits.depth);
  Json::sax_parse(text, &builder);
  return builder.result();
}

}  // namespace bitnet
