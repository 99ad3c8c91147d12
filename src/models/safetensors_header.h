// The JSON header of a SafeTensors file as plain values, before anything in it is compared with the data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bitnet {

struct SafetensorsEntry {
  std::string name, dtype;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0, end = 0;  // its data_offsets
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;                      // in the header's order
  std::vector<std::pair<std::string, std::string>> metadata;  // of "__metadata__"
};

// `file` is for errors. Members of a tensor beside dtype, shape and data_offsets are passed over, as the format's own library
// does. Throws Error{bad_model} for anything that is not JSON or not this object, and for names or members that appear twice.
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& file);

}  // namespace bitnet
