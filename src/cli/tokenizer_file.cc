// Tells tokenizer files apart by their first bytes.
#include "cli/tokenizer_file.h"

#include <filesystem>

#include "common/error.h"
#include "common/mapped_file.h"
#include "inference/engine.h"
#include "inference/folder_vocabulary.h"
#include "models/gguf_reader.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t max_bytes = 256u << 20;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::unique_ptr<const Tokenizer> from_gguf(const std::string& path) {
  const GgufFile file = GgufFile::open(path);
  auto tokenizer = tokenizer_from_gguf(file);
  if (!tokenizer) {
    fail(ErrorKind::bad_model, "{}: tokenizer.ggml.model is missing: the file has no tokenizer", printable(path, 512));
  }
  return tokenizer;
}

std::unique_ptr<const Tokenizer> from_folder(const std::string& path) {
  auto tokenizer = tokenizer_from_folder(HuggingFaceFolder::open(path));
  if (!tokenizer) fail(ErrorKind::bad_model, "{}: has neither tokenizer.json nor tokenizer.model", printable(path, 512));
  return tokenizer;
}

}  // namespace

std::unique_ptr<const Tokenizer> open_tokenizer(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return from_folder(path);
  if (path.ends_with(".safetensors")) return from_folder(std::filesystem::path(path).parent_path().string());
  const MappedFile file = MappedFile::open(path);
  const std::string_view text = text_of(file.bytes());
  if (text.starts_with("GGUF")) return from_gguf(path);
  if (text.size() > max_bytes) {
    fail(ErrorKind::too_big, "{}: has {} bytes, a tokenizer file may have {}", printable(path, 512), text.size(), max_bytes);
  }
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') return tokenizer_from_json(text, path);
  return tokenizer_from_sentencepiece(file.bytes(), path);
}

}  // namespace bitnet::cli
