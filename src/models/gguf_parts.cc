// Cuts tables of tensors into parts, and finds the parts that belong together.
#include "models/gguf_parts.h"

#include <algorithm>
#include <set>

#include "common/checked.h"
#include "common/error.h"

namespace bitnet {
namespace {

constexpr std::string_view no_key = "split.no", count_key = "split.count", tensors_key = "split.tensors.count";

std::uint64_t padded_bytes(const NewTensor& tensor, std::uint64_t alignment) {
  const auto bytes = data_bytes(tensor.type, static_cast<std::uint64_t>(tensor.shape.elements()),
                                static_cast<std::uint64_t>(tensor.shape.cols()));
  return *checked_round_up(bytes.value_or(0), alignment);
}

// Of the tensor's entry in the table.
std::uint64_t entry_bytes(const NewTensor& tensor) { return 8 + tensor.name.size() + 4 + 8 * tensor.shape.dims.size() + 4 + 8; }

[[noreturn]] void bad(const GgufFile& file, const std::string& fact) {
  fail(ErrorKind::bad_model, "{}: {}", printable(file.path(), 512), fact);
}

std::uint64_t require(const GgufFile& file, std::string_view key) {
  const auto value = file.find_unsigned(key);
  if (!value) bad(file, fmt::format("{} is missing", key));
  return *value;
}

void check_part(const GgufFile& file, std::size_t part, std::size_t count) {
  if (require(file, no_key) != part) bad(file, fmt::format("{} is {}, it must be {}", no_key, require(file, no_key), part));
  if (require(file, count_key) != count) {
    bad(file, fmt::format("{} is {}, the first part says {}", count_key, require(file, count_key), count));
  }
}

void check_is_first(const GgufFile& file, std::size_t count) {
  const std::uint64_t part = require(file, no_key);
  if (part == 0) return;
  const std::string end = part < count ? part_path("", part, count) : "";
  std::string first;
  if (!end.empty() && file.path().ends_with(end)) {
    first = ", " + printable(part_path(file.path().substr(0, file.path().size() - end.size()), 0, count), 512);
  }
  bad(file, fmt::format("{} is {}, it must be 0: give the first of the {} parts{}", no_key, part, count, first));
}

// A model without one of its parts is broken, as a folder without one of its shards is; it is not absent.
GgufFile open_part(const GgufFile& first, const std::string& path) {
  try {
    return GgufFile::open(path);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::not_found) throw;
    bad(first, fmt::format("part {} is missing", printable(path, 512)));
  }
}

void check_tensors(const std::vector<GgufFile>& parts) {
  std::set<std::string_view> names;
  for (const GgufFile& part : parts) {
    for (const GgufTensor& tensor : part.tensors()) {
      if (!names.insert(tensor.name).second) {
        bad(part, fmt::format("tensor '{}' is in an earlier part, too", printable(tensor.name)));
      }
    }
  }
  const std::uint64_t expected = require(parts.front(), tensors_key);
  if (names.size() != expected) {
    bad(parts.front(), fmt::format("{} is {}, the parts have {}", tensors_key, expected, names.size()));
  }
}

GgufMetadata part_metadata(const GgufMetadata& all, std::size_t part, std::size_t count, std::size_t tensors) {
  GgufMetadata metadata;
  if (part == 0) {
    metadata = all;
  } else if (all.alignment() != 32) {
    metadata.u32("general.alignment", static_cast<std::uint32_t>(all.alignment()));
  }
  metadata.u16(no_key, static_cast<std::uint16_t>(part));
  metadata.u16(count_key, static_cast<std::uint16_t>(count));
  metadata.i32(tensors_key, static_cast<std::int32_t>(tensors));
  return metadata;
}

}  // namespace

std::string part_path(std::string_view prefix, std::size_t part, std::size_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, part + 1, count);
}

std::vector<GgufFile> open_parts(const std::string& path) {
  std::vector<GgufFile> parts;
  parts.push_back(GgufFile::open(path));
  const std::uint64_t count = parts.front().find_unsigned(count_key).value_or(1);
  if (count <= 1) return parts;
  if (count > max_parts) bad(parts.front(), fmt::format("{} is {}, at most {} are allowed", count_key, count, max_parts));
  check_is_first(parts.front(), count);
  check_part(parts.front(), 0, count);
  const std::string end = part_path("", 0, count);
  if (!path.ends_with(end)) bad(parts.front(), fmt::format("is the first of {} parts, its name must end with {}", count, end));
  const std::string prefix = path.substr(0, path.size() - end.size());
  for (std::size_t i = 1; i < count; ++i) {
    parts.push_back(open_part(parts.front(), part_path(prefix, i, count)));
    check_part(parts.back(), i, count);
  }
  check_tensors(parts);
  return parts;
}

std::vector<std::size_t> cut_by_size(const GgufMetadata& metadata, std::span<const NewTensor> tensors, std::uint64_t limit) {
  const std::uint64_t alignment = metadata.alignment();
  constexpr std::uint64_t head = 256;  // more than the header and the keys of a split
  std::vector<std::size_t> ends;
  std::uint64_t size = head + metadata.encoded().size() + alignment;
  std::size_t first = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t more = padded_bytes(tensors[i], alignment) + entry_bytes(tensors[i]);
    if (i > first && size + more > limit) {
      ends.push_back(i);
      first = i, size = head + alignment;
    }
    size += more;
  }
  ends.push_back(tensors.size());
  if (ends.size() > max_parts) {
    fail(ErrorKind::usage, "parts of {} bytes would be {}, at most {} are allowed", limit, ends.size(), max_parts);
  }
  return ends;
}

std::vector<std::size_t> cut_into(std::span<const NewTensor> tensors, std::size_t parts) {
  const std::size_t most = std::min(tensors.size(), max_parts);
  if (parts == 0 || parts > most) fail(ErrorKind::usage, "{} parts are not possible, allowed are 1 to {}", parts, most);
  std::uint64_t left = 0;
  for (const NewTensor& tensor : tensors) left += padded_bytes(tensor, 1);
  std::vector<std::size_t> ends;
  for (std::size_t i = 0; ends.size() + 1 < parts;) {
    const std::uint64_t share = left / (parts - ends.size());
    const std::size_t last = tensors.size() - (parts - ends.size() - 1);  // every later part needs a tensor
    std::uint64_t size = 0;
    do {
      size += padded_bytes(tensors[i++], 1);
    } while (i < last && size + padded_bytes(tensors[i], 1) / 2 <= share);
    left -= size;
    ends.push_back(i);
  }
  ends.push_back(tensors.size());
  return ends;
}

std::vector<TensorFiles::File> part_files(std::string_view prefix, const GgufMetadata& metadata,
                                          std::span<const NewTensor> tensors, std::span<const std::size_t> ends) {
  std::vector<TensorFiles::File> files;
  std::size_t first = 0;
  for (const std::size_t end : ends) {
    const std::size_t part = files.size();
    files.push_back(
        {part_path(prefix, part, ends.size()),
         gguf_layout(part_metadata(metadata, part, ends.size(), tensors.size()), tensors.subspan(first, end - first))});
    first = end;
  }
  return files;
}

}  // namespace bitnet
