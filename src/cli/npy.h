// NpyFile: a matrix of float32 written row by row in NumPy's file format.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "common/output_file.h"

namespace bitnet::cli {

// Format version 1.0 (NEP 1): little-endian float32, C order. Appears under its name only after commit(). Errors are Error{io}.
class NpyFile {
 public:
  NpyFile(const std::string& path, std::int64_t rows, std::int64_t cols);

  void append(std::span<const float> row);  // (cols), exactly `rows` times
  void commit() { file_.commit(); }

 private:
  OutputFile file_;
};

}  // namespace bitnet::cli
