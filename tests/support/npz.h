// Reads arrays out of a numpy .npz file (a zip of .npy), for golden tests.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace bitnet::test {

class Npz {
 public:
  explicit Npz(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    std::size_t end = bytes_.size() - 22;  // end of central directory, without a comment as numpy writes it
    if (bytes_.size() < 22 || number(end, 4) != 0x06054b50) throw std::runtime_error("not a zip file: " + path);
    std::size_t at = number(end + 16, 4);
    for (std::size_t i = 0; i < number(end + 10, 2); ++i) {
      const std::size_t name_size = number(at + 28, 2), extra = number(at + 30, 2) + number(at + 32, 2);
      entries_[bytes_.substr(at + 46, name_size)] = at;
      at += 46 + name_size + extra;
    }
  }

  // The elements of NAME.npy, whose type must be as wide as T.
  template <class T>
  std::vector<T> get(const std::string& name) const {
    const std::string npy = extract(entries_.at(name + ".npy"));
    const std::size_t header = static_cast<unsigned char>(npy[8]) | static_cast<std::size_t>(static_cast<unsigned char>(npy[9]))
                                                                        << 8;
    const std::size_t start = 10 + header;
    std::vector<T> values((npy.size() - start) / sizeof(T));
    std::memcpy(values.data(), npy.data() + start, values.size() * sizeof(T));
    return values;
  }

 private:
  std::size_t number(std::size_t at, int size) const {
    std::size_t value = 0;
    for (int i = size - 1; i >= 0; --i)
      value = value << 8 | static_cast<unsigned char>(bytes_[at + static_cast<std::size_t>(i)]);
    return value;
  }

  std::string extract(std::size_t entry) const {
    const std::size_t method = number(entry + 10, 2), packed = number(entry + 20, 4), size = number(entry + 24, 4),
                      local = number(entry + 42, 4);
    const std::size_t data = local + 30 + number(local + 26, 2) + number(local + 28, 2);
    if (method == 0) return bytes_.substr(data, size);
    std::string out(size, '\0');
    z_stream stream = {};
    inflateInit2(&stream, -MAX_WBITS);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes_.data() + data)),
    stream.avail_in = static_cast<uInt>(packed);
    stream.next_out = reinterpret_cast<Bytef*>(out.data()), stream.avail_out = static_cast<uInt>(size);
    const int status = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    if (status != Z_STREAM_END) throw std::runtime_error("cannot inflate");
    return out;
  }

  std::string bytes_;
  std::map<std::string, std::size_t> entries_;
};

}  // namespace bitnet::test
