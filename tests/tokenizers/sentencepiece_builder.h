// Writes small SentencePiece .model files and charsmaps for tests: fields as given, right or wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace bitnet::test {

// Protobuf's wire format.
inline std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(0x80 | (value & 0x7f));
  return out + static_cast<char>(value);
}
inline std::string bytes_field(std::uint32_t number, const std::string& bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
}
inline std::string varint_field(std::uint32_t number, std::uint64_t value) { return varint(number << 3) + varint(value); }
inline std::string float_field(std::uint32_t number, float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  std::string out = varint(number << 3 | 5);
  for (int i = 0; i < 4; ++i) out += static_cast<char>(bits >> (8 * i));
  return out;
}

struct ModelBuilder {
  struct Piece {
    std::string text;
    float score = 0;
    TokenKind kind = TokenKind::normal;
  };
  std::vector<Piece> pieces = {
      {"<unk>", 0, TokenKind::unknown}, {"<s>", 0, TokenKind::control}, {"</s>", 0, TokenKind::control}};
  std::uint64_t type = 1;                                // 1 unigram, 2 BPE
  std::string trainer = {}, normalizer = {}, more = {};  // further fields, as bytes

  std::string bytes() const {
    std::string out;
    for (const Piece& p : pieces) {
      const std::string kind = p.kind == TokenKind::normal ? "" : varint_field(3, static_cast<std::uint64_t>(p.kind));
      out += bytes_field(1, bytes_field(1, p.text) + float_field(2, p.score) + kind);
    }
    return out + bytes_field(2, varint_field(3, type) + trainer) + bytes_field(3, normalizer) + more;
  }
  std::unique_ptr<const Tokenizer> tokenizer() const { return read_model(bytes()); }

  static std::unique_ptr<const Tokenizer> read_model(const std::string& bytes) {
    return tokenizer_from_sentencepiece(std::as_bytes(std::span(bytes.data(), bytes.size())), "small.model");
  }
};

// The blob of a charsmap: a double-array trie with a block of 256 units for each prefix, unit 0 of a block for the end of a
// key, and the texts.
inline std::string charsmap(const std::map<std::string, std::string>& mappings) {
  std::vector<std::uint32_t> units(256, 0);
  std::map<std::string, std::uint32_t> unit_of = {{"", 0}}, block_of;
  const auto block = [&](const std::string& prefix) {
    const auto [found, added] = block_of.try_emplace(prefix, static_cast<std::uint32_t>(units.size()));
    if (added) {
      units.resize(units.size() + 256, 0);
      units[unit_of[prefix]] |= (found->second ^ unit_of[prefix]) << 10;  // offsets are relative, by exclusive or
    }
    return found->second;
  };
  std::string texts;
  for (const auto& [key, text] : mappings) {
    for (std::size_t size = 1; size <= key.size(); ++size) {
      const auto label = static_cast<unsigned char>(key[size - 1]);
      const std::uint32_t unit = block(key.substr(0, size - 1)) + label;
      unit_of[key.substr(0, size)] = unit, units[unit] |= label;
    }
    const std::uint32_t end = block(key);
    units[unit_of[key]] |= 1u << 8;
    units[end] = 0x80000000u | static_cast<std::uint32_t>(texts.size());
    texts += text + '\0';
  }
  std::string blob;
  const auto put = [&](std::uint32_t value) {
    for (int i = 0; i < 4; ++i) blob += static_cast<char>(value >> (8 * i));
  };
  put(static_cast<std::uint32_t>(4 * units.size()));
  for (const std::uint32_t unit : units) put(unit);
  return blob + texts;
}

}  // namespace bitnet::test
