// Writes small SafeTensors files and HuggingFace folders for tests: headers and data as given, right or wrong.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>

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

// An empty folder that goes away with this object.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bitnet-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string put(const std::string& name, const std::string& bytes) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path;
  }

 private:
  std::string path_;
};

}  // namespace bitnet::test
