// GGUF models in several files, as llama.cpp's gguf-split makes them: names, keys, and where to cut.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/gguf_writer.h"

namespace bitnet {

constexpr std::size_t max_parts = 512;  // all are open at once

// "PREFIX-00002-of-00003.gguf" for part 1 of 3.
std::string part_path(std::string_view prefix, std::size_t part, std::size_t count);

// All parts in order; one for a file that is not split. Throws what GgufFile::open throws, and Error{bad_model} when `path` is
// not the first part, its name is not that of a part, or the parts do not fit together.
std::vector<GgufFile> open_parts(const std::string& path);

// One past the last tensor of each part. No part's file is larger than `limit` unless it holds a single tensor; the first has
// all metadata. Throws Error{usage} for more than max_parts.
std::vector<std::size_t> cut_by_size(const GgufMetadata& metadata, std::span<const NewTensor> tensors, std::uint64_t limit);

// The same for a number of parts of about the same size. Throws Error{usage} when there are fewer tensors, or for 0 or more
// than max_parts.
std::vector<std::size_t> cut_into(std::span<const NewTensor> tensors, std::size_t parts);

// The files PREFIX-0000N-of-0000M.gguf, ready to be written.
std::vector<TensorFiles::File> part_files(std::string_view prefix, const GgufMetadata& metadata,
                                          std::span<const NewTensor> tensors, std::span<const std::size_t> ends);

}  // namespace bitnet
