// Tokenizer: text <-> token ids, one face for byte-level BPE, SentencePiece (BPE and unigram) and WordPiece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitnet {

using TokenId = std::int32_t;

// Numbers as in GGUF's tokenizer.ggml.token_type and sentencepiece's Type.
enum class TokenKind : std::uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

// Everything a tokenizer is made from, whichever file it came out of. Untrusted: make_tokenizer checks every index and length.
struct Vocabulary {
  std::string
      model;  // GGUF's tokenizer.ggml.model: "gpt2" byte-level BPE, "llama" SentencePiece BPE, "t5" unigram, "bert" WordPiece
  std::string pre;  // GGUF's tokenizer.ggml.pre: the pre-tokenizer's name; empty where the file has none
  std::vector<std::string> tokens;
  std::vector<float> scores;        // empty or one per token
  std::vector<TokenKind> kinds;     // empty or one per token
  std::vector<std::string> merges;  // byte-level BPE: "left right", best first
  std::optional<TokenId> bos, eos, eot, unk, sep, pad, cls, mask;
  std::optional<bool> add_bos, add_eos, add_space_prefix, remove_extra_whitespaces;
  std::string precompiled_charsmap;  // unigram: sentencepiece's normaliser, empty for none
};

struct EncodeOptions {
  bool add_special = true;    // BOS / EOS / CLS / SEP as the model's file asks
  bool parse_special = true;  // special tokens written in the text become their ids
};

enum class LeadingSpace : std::uint8_t {
  keep,
  drop_one,  // of the first piece
  drop_all,  // of every piece until one has text of its own
};

// Immutable, safe to share between threads. Ids given to it must be in [0, size()).
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Time linear in the text (up to a logarithm). Invalid UTF-8 never fails: byte-level models encode its bytes, the others
  // treat each maximal broken part as U+FFFD.
  virtual std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const = 0;

  // The bytes of one token as they stand in running text (a space where the vocabulary writes a word mark, one byte for a byte
  // token; may be a part of a UTF-8 character). Control tokens give their written form when `special`, else nothing.
  virtual std::string piece(TokenId id, bool special = false) const = 0;

  // The text of a whole sequence: pieces joined, with the model's own rule for a leading space. Broken UTF-8 becomes U+FFFD.
  virtual std::string decode(std::span<const TokenId> ids, bool special = false) const = 0;

  virtual std::size_t size() const = 0;
  virtual std::string_view token_text(TokenId id) const = 0;  // as the vocabulary writes it
  virtual std::optional<TokenId> find(std::string_view token_text) const = 0;
  virtual TokenKind kind(TokenId id) const = 0;

  virtual const Vocabulary& vocabulary() const = 0;  // without the bulk data that encode does not need (merges may be emptied)

  // What decode() does with the space before a sequence, where encode() adds one.
  virtual LeadingSpace leading_space() const = 0;
};

// Throws Error{bad_model} naming the field for anything inconsistent (an id out of range, a merge without its token, ...).
std::unique_ptr<const Tokenizer> make_tokenizer(Vocabulary vocabulary);

// What a model's folder says of special tokens beside the tokenizer's own file; nullopt leaves that file's word.
struct SpecialTokenSettings {
  struct Added {
    TokenId id;
    std::string text;
    bool control;
  };

  std::optional<std::string> bos = {}, eos = {};  // as the vocabulary writes them
  std::optional<bool> add_bos = {}, add_eos = {};
  std::vector<Added> added = {};  // ascending ids; for SentencePiece, whose file cannot hold tokens added later
};

// Readers of the other two file forms; `name` is for error messages. Both throw Error{bad_model}, also for settings that name
// what is no token.
std::unique_ptr<const Tokenizer> tokenizer_from_json(std::string_view json, const std::string& name,
                                                     const SpecialTokenSettings& settings = {});  // HuggingFace tokenizer.json
std::unique_ptr<const Tokenizer> tokenizer_from_sentencepiece(std::span<const std::byte> bytes, const std::string& name,
                                                              const SpecialTokenSettings& settings = {});  // .model protobuf

// Turns a growing sequence of ids into text pieces that are each valid UTF-8; joined they equal Tokenizer::decode of all ids.
// Holds back at most the bytes of one unfinished character. Keeps a reference to the tokenizer. Not thread safe.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool special = false) : tokenizer_(tokenizer), special_(special) {}
  std::string put(TokenId id);  // what became complete with this id, possibly empty
  std::string finish();         // what was held back, as U+FFFD; the decoder then starts anew

 private:
  std::string complete(bool last);

  const Tokenizer& tokenizer_;
  bool special_;
  bool started_ = false;
  std::string held_;
};

}  // namespace bitnet
