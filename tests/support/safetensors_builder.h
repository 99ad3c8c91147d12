// Writes small SafeTensors files for tests: headers and data as given, right or wrong.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "support/gguf_builder.h"

namespace bitnet::test {

// A file of `header` with its length before it and `data` behind it.
inline std::string safetensors_file(const std::string& header, const std::string& data = "") {
  return GgufBuilder::number<std::uint64_t>(header.size()) + header + data;
}

class SafetensorsBuilder {
 public:
  void tensor(const std::string& name, const std::string& dtype, const std::vector<std::uint64_t>& shape,
              const std::string& bytes) {
    member(fmt::format(R"("{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", name, dtype, fmt::join(shape, ","),
                       data_.size(), data_.size() + bytes.size()));
    data_ += bytes;
  }
  void member(const std::string& json) { header_ += (header_.empty() ? "" : ",") + json; }

  std::string bytes() const { return safetensors_file("{" + header_ + "}", data_); }

 private:
  std::string header_, data_;
};

}  // namespace bitnet::test
