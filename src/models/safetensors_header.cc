// Follows the events of a JSON parser through the header's fixed grammar: no tree is built, so memory stays in proportion.
#include "models/safetensors_header.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "common/error.h"
#include "models/strict_json.h"

namespace bitnet {
namespace {

constexpr int max_depth = 64;  // of members that are passed over

// nlohmann's SAX interface.
class HeaderReader {
 public:
  explicit HeaderReader(const std::string& file) : file_(printable(file, 512)) {}

  SafetensorsHeader result() && {
    std::vector<std::string_view> names;
    names.reserve(header_.entries.size());
    for (const SafetensorsEntry& entry : header_.entries) names.push_back(entry.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) bad(fmt::format("tensor '{}' appears twice", printable(*twice)));
    return std::move(header_);
  }

  bool null() { return other("null"); }
  bool boolean(bool) { return other("a boolean"); }
  bool number_integer(std::int64_t) { return other("a negative number"); }
  bool number_float(double, const std::string&) { return other("a number that is no integer of 64 bits"); }
  bool binary(nlohmann::json::binary_t&) { return false; }

  bool number_unsigned(std::uint64_t value) {
    if (state_ == State::shape) {
      entry().shape.push_back(value);
    } else if (state_ == State::offsets && offsets_ < 2) {
      (offsets_++ == 0 ? entry().begin : entry().end) = value;
    } else if (state_ == State::offsets) {
      bad(where() + " has more than two data_offsets");
    } else {
      return other("a number");
    }
    return true;
  }

  bool string(std::string& value) {
    if (state_ == State::metadata) {
      header_.metadata.back().second = std::move(value);
    } else if (state_ == State::member && member_ == "dtype") {
      entry().dtype = std::move(value);
    } else {
      return other("a string");
    }
    return true;
  }

  bool start_object(std::size_t) {
    switch (state_) {
      case State::start:
        state_ = State::names;
        return true;
      case State::name:
        state_ = in_metadata_ ? State::metadata : State::members;
        return true;
      default:
        return open("an object");
    }
  }

  bool start_array(std::size_t) {
    if (state_ != State::member || (member_ != "shape" && member_ != "data_offsets")) return open("an array");
    state_ = member_ == "shape" ? State::shape : State::offsets;
    return true;
  }

  bool end_array() {
    if (state_ == State::passing) return close();
    if (state_ == State::offsets && offsets_ != 2) bad(where() + " has data_offsets of one number or none, it must have two");
    state_ = State::members;
    return true;
  }

  bool end_object() {
    switch (state_) {
      case State::passing:
        return close();
      case State::member:
      case State::members:
        for (const std::string_view name : {"dtype", "shape", "data_offsets"}) {
          if (!seen_.contains(name)) bad(fmt::format("{} has no {}", where(), name));
        }
        [[fallthrough]];
      case State::metadata:
        state_ = State::names;
        return true;
      default:
        return true;  // the header's own end
    }
  }

  bool key(std::string& name) {
    switch (state_) {
      case State::names:
        return start_tensor(name);
      case State::metadata:
        if (!seen_.insert(name).second) bad(fmt::format("__metadata__ has '{}' twice", printable(name)));
        header_.metadata.emplace_back(name, "");
        return true;
      case State::member:
      case State::members:
        if (!seen_.insert(name).second) bad(fmt::format("{} has '{}' twice", where(), printable(name)));
        member_ = name, state_ = State::member;
        return true;
      default:
        return true;  // inside what is passed over
    }
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) {
    fail(ErrorKind::bad_model, "{}: header: is not JSON: {}", file_, json_fact(error));
  }

 private:
  // What the next event belongs to.
  enum class State {
    start,     // the header's '{'
    names,     // a tensor's name or "__metadata__"
    name,      // what stands behind it
    metadata,  // members of "__metadata__"
    members,   // a member of a tensor
    member,    // what stands behind its name
    shape,
    offsets,
    passing,  // inside a member that is passed over
  };

  [[noreturn]] void bad(const std::string& fact) const { fail(ErrorKind::bad_model, "{}: header: {}", file_, fact); }
  SafetensorsEntry& entry() { return header_.entries.back(); }

  std::string where() const {
    return in_metadata_ ? "__metadata__" : fmt::format("tensor '{}'", printable(header_.entries.back().name));
  }

  bool start_tensor(std::string& name) {
    in_metadata_ = name == "__metadata__";
    if (in_metadata_ && had_metadata_) bad("__metadata__ appears twice");
    had_metadata_ = had_metadata_ || in_metadata_;
    if (!in_metadata_) header_.entries.push_back({std::move(name), {}, {}, 0, 0});
    seen_.clear(), offsets_ = 0, state_ = State::name;
    return true;
  }

  bool is_known_member() const { return member_ == "dtype" || member_ == "shape" || member_ == "data_offsets"; }

  // A value where the grammar has none of its kind.
  bool other(std::string_view what) {
    switch (state_) {
      case State::passing:
        return true;
      case State::member:
        if (is_known_member()) bad(fmt::format("{}: its {} is {}", where(), member_, what));
        return true;
      case State::start:
        bad(fmt::format("it is {}, it must be an object", what));
      case State::metadata:
        bad(fmt::format("__metadata__: '{}' is {}, only strings are allowed", printable(header_.metadata.back().first), what));
      case State::shape:
        bad(fmt::format("{}: its shape holds {}, only integers from 0 are allowed", where(), what));
      case State::offsets:
        bad(fmt::format("{}: its data_offsets hold {}, only integers from 0 are allowed", where(), what));
      default:
        bad(fmt::format("{} is {}, it must be an object", where(), what));
    }
  }

  bool open(std::string_view what) {
    if (state_ != State::passing) {
      other(what);
      state_ = State::passing, depth_ = 0;
    }
    if (++depth_ > max_depth) bad(fmt::format("{}: its {} is nested deeper than {}", where(), printable(member_), max_depth));
    return true;
  }

  bool close() {
    if (--depth_ == 0) state_ = State::members;
    return true;
  }

  std::string file_;
  SafetensorsHeader header_;
  State state_ = State::start;
  bool in_metadata_ = false, had_metadata_ = false;
  std::set<std::string, std::less<>> seen_;  // members of the tensor or of "__metadata__" that is being read
  std::string member_;
  int offsets_ = 0, depth_ = 0;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& file) {
  check_no_zero_bytes(text, file + ": header");
  HeaderReader reader(file);
  nlohmann::json::sax_parse(text, &reader);
  return std::move(reader).result();
}

}  // namespace bitnet
