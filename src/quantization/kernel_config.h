// KernelConfig: the tilings that TL1 and TL2 files were written with, read from bitnet.cpp's kernel_config.ini.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/shape.h"

namespace bitnet {

// One section for each shape of matrix: [ANY NAME], then m (rows), k (columns), bm, bk and bmm, one a line, as NAME = NUMBER.
// Comments are lines that begin with # or ;.
class KernelConfig {
 public:
  // Throws Error{bad_model} naming file and line for anything else: a key that is unknown, repeated or missing, a number
  // outside 1 to 2^20, two sections of one shape, more than 256 sections. `file` is for the messages.
  static KernelConfig read(std::string_view text, std::string_view file);

  // Of a file of at most 64 KiB. Throws also Error{not_found, io}.
  static KernelConfig open(const std::string& path);

  // Where the configuration of a model's file is looked for: kernel_config.ini in the same folder.
  static std::string path_beside(std::string_view model);

  // Zeros when no section has the shape.
  Tiling find(std::int64_t rows, std::int64_t cols) const;

 private:
  struct Section {
    std::int64_t rows = 0, cols = 0;
    Tiling tiling;
  };
  std::vector<Section> sections_;
};

}  // namespace bitnet
