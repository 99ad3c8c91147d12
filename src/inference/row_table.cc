// Copies a table or leaves it in the file, and multiplies with it block by block.
#include "inference/row_table.h"

#include <algorithm>
#include <cstring>

#include "common/error.h"

namespace bitnet {
namespace {

constexpr std::int64_t block_bytes =
    128 << 10;  // of rows read at once: they stay in the second cache until they are multiplied

}  // namespace

RowTable::RowTable(const WeightTensor& weight, const MappedFile& file, ThreadPool& pool, std::uint64_t largest_copy)
    : type_(weight.view.type), rows_(weight.view.shape.rows()), cols_(weight.view.shape.cols()) {
  if (!info(type_).rows_apart) {
    fail(ErrorKind::unsupported, "tensor '{}' is {}, whose rows do not lie apart: an embedding or head cannot be",
         printable(weight.name), info(type_).name);
  }
  if (weight.scale != 1.0f)
    fail(ErrorKind::unsupported, "tensor '{}' is dense and has a scale of its own", printable(weight.name));
  const std::span<const std::byte> bytes = weight.view.bytes;
  row_bytes_ = static_cast<std::int64_t>(bytes.size()) / rows_;
  if (bytes.size() > largest_copy) {
    file_ = FileReader(file);
    offset_ = static_cast<std::uint64_t>(bytes.data() - file.bytes().data());
    return;
  }
  copy_ = Buffer(bytes.size());
  pool.split(rows_, 1, [&](std::int64_t begin, std::int64_t end) {
    std::memcpy(copy_.data() + begin * row_bytes_, bytes.data() + begin * row_bytes_,
                static_cast<std::size_t>((end - begin) * row_bytes_));
  });
}

DenseMatrix RowTable::read(std::int64_t first, std::int64_t count, Rows& memory) const {
  if (copy_.size() != 0) return {type_, copy_.data() + first * row_bytes_, count, cols_, row_bytes_};
  const auto bytes = static_cast<std::size_t>(count * row_bytes_);
  make_room(memory, bytes);
  file_.read(offset_ + static_cast<std::uint64_t>(first * row_bytes_), {memory.data(), bytes});
  return {type_, memory.data(), count, cols_, row_bytes_};
}

DenseMatrix RowTable::gather(std::span<const TokenId> rows, Rows& memory) const {
  const auto row_bytes = static_cast<std::size_t>(row_bytes_);
  make_room(memory, rows.size() * row_bytes);
  std::byte* to = memory.data();
  for (const TokenId row : rows) {
    const std::size_t from = static_cast<std::size_t>(row) * row_bytes;
    if (copy_.size() != 0) {
      std::memcpy(to, copy_.data() + from, row_bytes);
    } else {
      file_.fill(offset_ + from, {to, row_bytes});
    }
    to += row_bytes;
  }
  if (copy_.size() == 0) file_.check();
  return {type_, memory.data(), static_cast<std::int64_t>(rows.size()), cols_, row_bytes_};
}

void RowTable::make_room(Rows& memory, std::size_t bytes) const {
  if (memory.size() < bytes) memory = Buffer(std::max(bytes, static_cast<std::size_t>(block_bytes)));
}

void RowTable::multiply(const float* x, std::int64_t tokens, float* y, std::int64_t y_stride, Compute& with) const {
  const std::int64_t block = std::max<std::int64_t>(block_bytes / row_bytes_, 1);
  with.pool.run([&](int part, int parts) {
    const auto thread = static_cast<std::size_t>(part);
    const auto [begin, end] = ThreadPool::part(rows_, 16, part, parts);
    for (std::int64_t first = begin; first < end; first += block) {
      const DenseMatrix rows = read(first, std::min(block, end - first), with.rows[thread]);
      with.kernels.dense_matmul(rows, 0, rows.rows, x, tokens, cols_, y + first, y_stride, with.scratch[thread].data());
    }
  });
}

}  // namespace bitnet
