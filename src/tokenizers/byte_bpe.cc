// Encodes words of bytes by merge rank, and decodes the byte alphabet.
#include "tokenizers/byte_bpe.h"

#include <array>

#include "common/error.h"
#include "common/utf8.h"
#include "tokenizers/bpe_merge.h"
#include "tokenizers/unicode.h"
#include "tokenizers/vocabulary_tokenizer.h"

namespace bitnet {
namespace {

// GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes in order for U+0100 and up.
std::array<char32_t, 256> make_alphabet() {
  std::array<char32_t, 256> alphabet{};
  char32_t next = 256;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    alphabet[byte] = itself ? byte : next++;
  }
  return alphabet;
}

const std::array<char32_t, 256>& alphabet() {
  static const auto table = make_alphabet();
  return table;
}

// The bytes that a token's letters stand for; a token with other letters stands for its own text.
std::string bytes_of(std::string_view token) {
  static const auto byte_of = [] {
    std::array<int, 0x200> table;
    table.fill(-1);
    for (int byte = 0; byte < 256; ++byte) table[alphabet()[static_cast<std::size_t>(byte)]] = byte;
    return table;
  }();
  std::string bytes;
  std::string_view rest = token;
  while (!rest.empty()) {
    const Utf8Char c = utf8_decode(rest);
    if (!c.valid || c.code >= byte_of.size() || byte_of[c.code] < 0) return std::string(token);
    bytes += static_cast<char>(byte_of[c.code]);
    rest.remove_prefix(c.size);
  }
  return bytes;
}

class ByteBpe final : public VocabularyTokenizer {
 public:
  ByteBpe(Vocabulary vocabulary, const ByteBpeOptions& options)
      : VocabularyTokenizer(std::move(vocabulary), options.special, options.bos_by_default, false), options_(options) {
    merges_ = read_merges(vocabulary_.merges, *this);
    vocabulary_.merges = {};
    for (std::size_t byte = 0; byte < 256; ++byte) {
      std::string letter;
      utf8_append(letter, alphabet()[byte]);
      byte_tokens_[byte] = find(letter).value_or(-1);
    }
    for (std::size_t i = 0; options_.ignore_merges && i < size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      if (kind(id) == TokenKind::normal) words_.try_emplace(bytes_of(token_text(id)), id);
    }
  }

  std::string piece(TokenId id, bool special) const override {
    const TokenKind kind = this->kind(id);
    if (kind == TokenKind::control || kind == TokenKind::unknown) return special ? std::string(token_text(id)) : std::string();
    return kind == TokenKind::normal ? bytes_of(token_text(id)) : std::string(token_text(id));
  }

 protected:
  void encode_text(std::string_view text, bool /*first*/, std::vector<TokenId>& ids) const override {
    std::string changed;
    if (options_.nfc) text = changed = unicode::nfc(text);
    if (options_.add_prefix_space && text[0] != ' ') text = changed = " " + std::string(text);
    BpeMerger merger;
    pre_tokenize(options_.pre, text, [&](std::string_view word) { encode_word(word, merger, ids); });
  }

 private:
  void encode_word(std::string_view word, BpeMerger& merger, std::vector<TokenId>& ids) const {
    if (options_.ignore_merges) {
      const auto whole = words_.find(std::string(word));
      if (whole != words_.end()) return ids.push_back(whole->second);
    }
    merger.symbols.clear();
    for (std::size_t i = 0; i < word.size(); ++i) {
      const auto byte = static_cast<unsigned char>(word[i]);
      const TokenId id = byte_tokens_[byte] >= 0 ? byte_tokens_[byte] : vocabulary_.unk.value_or(-1);
      if (id < 0)
        continue;  // as HuggingFace's tokenizers: some vocabularies leave out bytes that were rare in their training text
      merger.symbols.push_back({id, static_cast<std::uint32_t>(i), 1});
    }
    merger.merge([&](const BpeSymbol& left, const BpeSymbol& right) { return merges_.find(left.id, right.id); });
    for (const BpeSymbol& symbol : merger.symbols) ids.push_back(symbol.id);
  }

  ByteBpeOptions options_;
  MergeTable merges_;
  std::array<TokenId, 256> byte_tokens_;
  std::unordered_map<std::string, TokenId> words_;
};

// Llama-3's vocabulary is known by its special tokens; its published 2B-4T file does not name a pre-tokenizer.
bool is_llama3(const Vocabulary& v) {
  bool begin = false, turn = false;
  for (const std::string& token : v.tokens) {
    begin = begin || token == "<|begin_of_text|>";
    turn = turn || token == "<|eot_id|>";
  }
  return begin && turn;
}

}  // namespace

std::unique_ptr<const Tokenizer> make_byte_bpe(Vocabulary vocabulary, const ByteBpeOptions& options) {
  return std::make_unique<ByteBpe>(std::move(vocabulary), options);
}

PreTokenizerFamily byte_bpe_family(const Vocabulary& vocabulary) {
  std::string name = vocabulary.pre;
  if (name.empty() || name == "default") name = is_llama3(vocabulary) ? "llama-bpe" : "gpt-2";
  const std::optional<PreTokenizerFamily> family = pre_tokenizer_by_name(name);
  if (!family) fail(ErrorKind::bad_model, "tokenizer.ggml.pre is '{}', which is not a known pre-tokenizer", printable(name));
  return *family;
}

std::unique_ptr<const Tokenizer> make_byte_bpe(Vocabulary vocabulary) {
  const PreTokenizerFamily family = byte_bpe_family(vocabulary);
  return make_byte_bpe(
      std::move(vocabulary),
      {.pre = family.rules, .nfc = family.nfc, .ignore_merges = family.ignore_merges, .bos_by_default = family.add_bos});
}

}  // namespace bitnet
