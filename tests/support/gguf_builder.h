// Writes small GGUF files for tests: metadata and tensors as given, right or wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <stdlib.h>
#include <unistd.h>

namespace bitnet::test {

class GgufBuilder {
 public:
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;

  void u32(const std::string& key, std::uint32_t value) { entry(key, 4, number(value)); }
  void f32(const std::string& key, float value) { entry(key, 6, number(value)); }
  void boolean(const std::string& key, bool value) { entry(key, 7, std::string(1, value ? '\1' : '\0')); }
  void text(const std::string& key, const std::string& value) { entry(key, 8, string(value)); }
  void texts(const std::string& key, const std::vector<std::string>& values) {
    std::string body = number<std::uint32_t>(8) + number<std::uint64_t>(values.size());
    for (const std::string& value : values) body += string(value);
    entry(key, 9, body);
  }
  void i32s(const std::string& key, const std::vector<std::int32_t>& values) {
    std::string body = number<std::uint32_t>(5) + number<std::uint64_t>(values.size());
    for (const std::int32_t value : values) body += number(value);
    entry(key, 9, body);
  }
  void f32s(const std::string& key, const std::vector<float>& values) {
    std::string body = number<std::uint32_t>(6) + number<std::uint64_t>(values.size());
    for (const float value : values) body += number(value);
    entry(key, 9, body);
  }
  void entry(const std::string& key, std::uint32_t type, const std::string& body) {
    ++entry_count_;
    entries_ += string(key) + number(type) + body;
  }

  // `dims` slowest first, as everywhere else in the project.
  void tensor(const std::string& name, std::vector<std::uint64_t> dims, std::uint32_t type, const std::string& bytes) {
    std::string head = string(name) + number(static_cast<std::uint32_t>(dims.size()));
    for (std::size_t i = dims.size(); i-- > 0;) head += number(dims[i]);
    raw_tensor(head + number(type) + number<std::uint64_t>(data_.size()), bytes);
  }
  void raw_tensor(const std::string& table_entry, const std::string& bytes) {
    ++tensor_count_;
    table_ += table_entry;
    data_ += bytes;
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
  }

  std::string bytes() const {
    std::string head = "GGUF" + number(version) + number<std::uint64_t>(tensor_count_) + number<std::uint64_t>(entry_count_) +
                       entries_ + table_;
    head.resize((head.size() + alignment - 1) / alignment * alignment);
    return head + data_;
  }

  template <class T>
  static std::string number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    std::string out(sizeof value, '\0');
    std::memcpy(out.data(), &value, sizeof value);  // tests run on little-endian machines
    return out;
  }
  static std::string string(const std::string& text) { return number<std::uint64_t>(text.size()) + text; }

 private:
  std::uint64_t entry_count_ = 0, tensor_count_ = 0;
  std::string entries_, table_, data_;
};

// A file of the given bytes that goes away with this object.
class TempFile {
 public:
  explicit TempFile(const std::string& bytes, const std::string& suffix = ".gguf") {
    std::string pattern = (std::filesystem::temp_directory_path() / "bitnet-test-XXXXXX").string() + suffix;
    const int fd = mkstemps(pattern.data(), static_cast<int>(suffix.size()));
    path_ = pattern;
    if (fd >= 0) ::close(fd);
    std::ofstream(path_, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  ~TempFile() { std::filesystem::remove(path_); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace bitnet::test
