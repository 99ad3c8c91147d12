// Lays out the header and the rows of a NumPy file.
#include "cli/npy.h"

#include <fmt/format.h>

#include <bit>

namespace bitnet::cli {
namespace {

std::string npy_header(std::int64_t rows, std::int64_t cols) {
  std::string description = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, cols);
  constexpr std::size_t preamble = 10;  // magic, version, length
  while ((preamble + description.size() + 1) % 64 != 0) description += ' ';
  description += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(description.size() & 0xff);
  header += static_cast<char>(description.size() >> 8);
  return header + description;
}

}  // namespace

NpyFile::NpyFile(const std::string& path, std::int64_t rows, std::int64_t cols) : file_(path) {
  file_.write(npy_header(rows, cols));
}

void NpyFile::append(std::span<const float> row) {
  static_assert(std::endian::native == std::endian::little, "rows are written as they lie in memory");
  file_.write({reinterpret_cast<const char*>(row.data()), row.size_bytes()});
}

}  // namespace bitnet::cli
