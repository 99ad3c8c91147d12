// Writes head, gaps and tensors at their places.
#include "models/tensor_file.h"

#include <algorithm>

#include "common/error.h"

namespace bitnet {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }

std::uint64_t tensor_bytes(const FileLayout& layout) {
  std::uint64_t total = 0;
  for (const FileLayout::Place& place : layout.tensors) total += place.bytes;
  return total;
}

}  // namespace

TensorFile::TensorFile(const std::string& path, FileLayout layout, Replace replace)
    : path_(path), layout_(std::move(layout)), file_(path, replace), left_(tensor_bytes(layout_)) {
  file_.write_at(0, bytes_of(layout_.head));
  std::uint64_t end = layout_.head.size();
  const auto fill_up_to = [&](std::uint64_t next) {
    file_.write_at(end, bytes_of(std::string(next - end, '\0')));  // shorter than the alignment
  };
  for (const FileLayout::Place& place : layout_.tensors) {
    fill_up_to(place.offset);
    end = place.offset + place.bytes;
  }
  fill_up_to(layout_.file_bytes);
}

void TensorFile::write(std::size_t index, std::uint64_t offset, std::span<const std::byte> bytes) {
  const FileLayout::Place& place = layout_.tensors[index];
  if (offset > place.bytes || bytes.size() > place.bytes - offset) {
    fail(ErrorKind::runtime, "{}: tensor {} of {} bytes would get {} at {}", printable(path_, 512), index, place.bytes,
         bytes.size(), offset);
  }
  file_.write_at(place.offset + offset, bytes);
  left_ -= bytes.size();
}

void TensorFile::sync() {
  if (left_ != 0) fail(ErrorKind::runtime, "{}: {} bytes of tensors were not written", printable(path_, 512), left_.load());
  file_.sync();
}

void TensorFile::commit() {
  sync();
  file_.commit();
}

TensorFiles::TensorFiles(std::vector<File> files, Replace replace) {
  for (const File& file : files) bytes_ += file.layout.file_bytes;
  require_free_space(files.front().path, bytes_);
  for (File& file : files) {
    const auto number = static_cast<std::uint32_t>(files_.size());
    for (std::uint32_t i = 0; i < file.layout.tensors.size(); ++i) places_.push_back({number, i});
    files_.push_back(std::make_unique<TensorFile>(file.path, std::move(file.layout), replace));
  }
}

std::uint64_t TensorFiles::tensor_bytes(std::size_t index) const {
  return files_[places_[index].file]->layout().tensors[places_[index].index].bytes;
}

void TensorFiles::write(std::size_t index, std::uint64_t offset, std::span<const std::byte> bytes) {
  files_[places_[index].file]->write(places_[index].index, offset, bytes);
}

void TensorFiles::copy(std::size_t index, std::span<const std::byte> bytes, const MappedFile& map,
                       const ByteProgress& progress) {
  constexpr std::size_t step = 8u << 20;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    const auto part = bytes.subspan(at, std::min(step, bytes.size() - at));
    write(index, at, part);
    map.discard(part);
    progress(part.size());
  }
}

void TensorFiles::commit() {
  for (const auto& file : files_) file->sync();
  for (auto file = files_.rbegin(); file != files_.rend(); ++file) (*file)->commit();
}

}  // namespace bitnet
