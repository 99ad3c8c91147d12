// Reads a SentencePiece .model file: a ModelProto message (sentencepiece_model.proto) as raw protobuf.
#include <algorithm>
#include <functional>

#include "common/cursor.h"
#include "tokenizers/sentencepiece_bpe.h"
#include "tokenizers/tokenizer.h"
#include "tokenizers/unigram.h"

namespace bitnet {
namespace {

constexpr std::size_t max_pieces = 1u << 22;

enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
  std::uint32_t number;
  Wire wire;
  std::uint64_t value = 0;                // of varints and fixed-width fields
  std::span<const std::byte> bytes = {};  // of length-delimited fields

  // A known number with another wire type is an unknown field, which readers pass over.
  bool is(std::uint32_t wanted, Wire as) const { return number == wanted && wire == as; }
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  float as_float() const { return __builtin_bit_cast(float, static_cast<std::uint32_t>(value)); }
};

std::uint64_t read_varint(Cursor& in) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = in.number<std::uint8_t>("varint");
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  in.fail("a varint is longer than 10 bytes");
}

// Calls field(f) for each field of one message; nested ones come as bytes.
void each_field(std::span<const std::byte> message, const std::string& name, const std::function<void(const Field&)>& field) {
  Cursor in(message, name);
  while (in.left() > 0) {
    const std::uint64_t tag = read_varint(in);
    if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) in.fail("the field number is {}, allowed are 1 to 536870911", tag >> 3);
    Field f{.number = static_cast<std::uint32_t>(tag >> 3), .wire = static_cast<Wire>(tag & 7)};
    switch (f.wire) {
      case Wire::varint:
        f.value = read_varint(in);
        break;
      case Wire::fixed64:
        f.value = in.number<std::uint64_t>("64-bit field");
        break;
      case Wire::bytes:
        f.bytes = in.take(read_varint(in), "field");
        break;
      case Wire::fixed32:
        f.value = in.number<std::uint32_t>("32-bit field");
        break;
      default:
        in.fail("field {} has wire type {}, which sentencepiece does not write", f.number, tag & 7);
    }
    field(f);
  }
}

// What a model file holds beside its pieces; the values stand for absent fields.
struct Model {
  Vocabulary vocabulary;
  SentencePieceOptions options{.prefix_every_segment = false, .whole_text = true};
  std::uint64_t type = 1;
  std::int32_t bos = 1, eos = 2, pad = -1;
  bool byte_fallback = false;
};

void read_piece(const Field& piece, const std::string& file, Vocabulary& v) {
  const std::string name = fmt::format("{}: piece {}", file, v.tokens.size());
  if (v.tokens.size() == max_pieces)
    fail(ErrorKind::bad_model, "{}: at most {} pieces are allowed", printable(name, 512), max_pieces);
  std::string text;
  float score = 0;
  std::uint64_t type = 1;
  each_field(piece.bytes, name, [&](const Field& f) {
    if (f.is(1, Wire::bytes)) text = f.text();
    if (f.is(2, Wire::fixed32)) score = f.as_float();
    if (f.is(3, Wire::varint)) type = f.value;
  });
  if (text.empty()) fail(ErrorKind::bad_model, "{}: the text is empty", printable(name, 512));
  if (type < 1 || type > 6) fail(ErrorKind::bad_model, "{}: the type is {}, allowed are 1 to 6", printable(name, 512), type);
  v.tokens.push_back(std::move(text)), v.scores.push_back(score), v.kinds.push_back(static_cast<TokenKind>(type));
}

void read_trainer(const Field& spec, const std::string& file, Model& model) {
  const std::string name = file + ": trainer_spec";
  each_field(spec.bytes, name, [&](const Field& f) {
    if (f.is(44, Wire::bytes)) model.options.unknown_text = f.text();
    if (f.wire != Wire::varint) return;
    const auto id = static_cast<std::int32_t>(f.value);
    switch (f.number) {
      case 3:
        model.type = f.value;
        break;
      case 24:
        if (f.value != 0) fail(ErrorKind::bad_model, "{}: treat_whitespace_as_suffix is not supported", printable(name, 512));
        break;
      case 35:
        model.byte_fallback = f.value != 0;
        break;
      case 41:
        model.bos = id;
        break;
      case 42:
        model.eos = id;
        break;
      case 43:
        model.pad = id;
        break;
      default:
        break;
    }
  });
}

void read_normalizer(const Field& spec, const std::string& file, Model& model) {
  each_field(spec.bytes, file + ": normalizer_spec", [&](const Field& f) {
    if (f.is(2, Wire::bytes)) model.vocabulary.precompiled_charsmap = f.text();
    if (f.is(3, Wire::varint)) model.vocabulary.add_space_prefix = f.value != 0;
    if (f.is(4, Wire::varint)) model.vocabulary.remove_extra_whitespaces = f.value != 0;
    if (f.is(5, Wire::varint)) model.options.escape_spaces = f.value != 0;
  });
}

void read_denormalizer(const Field& spec, const std::string& file) {
  const std::string name = file + ": denormalizer_spec";
  each_field(spec.bytes, name, [&](const Field& f) {
    if (f.is(2, Wire::bytes) && !f.bytes.empty()) {
      fail(ErrorKind::bad_model, "{}: a charsmap for decoding is not supported", printable(name, 512));
    }
  });
}

void set_special_ids(Model& model, const std::string& file) {
  Vocabulary& v = model.vocabulary;
  for (std::size_t i = 0; i < v.kinds.size(); ++i) {
    if (v.kinds[i] != TokenKind::unknown) continue;
    if (v.unk) fail(ErrorKind::bad_model, "{}: pieces {} and {} are both for unknown text", printable(file, 512), *v.unk, i);
    v.unk = static_cast<TokenId>(i);
  }
  if (!v.unk) fail(ErrorKind::bad_model, "{}: no piece is for unknown text", printable(file, 512));
  const auto id = [](std::int32_t value) { return value < 0 ? std::nullopt : std::optional<TokenId>(value); };
  v.bos = id(model.bos), v.eos = id(model.eos), v.pad = id(model.pad);
  v.add_bos = false, v.add_eos = false;  // the library itself adds neither; models that want BOS say so elsewhere
}

// Behind the model's own pieces, one id after the other.
void add_tokens(Vocabulary& v, const SpecialTokenSettings& settings, const std::string& file) {
  for (const SpecialTokenSettings::Added& token : settings.added) {
    const auto id = static_cast<std::size_t>(token.id);
    if (id < v.tokens.size() && v.tokens[id] == token.text) continue;
    if (id != v.tokens.size() || v.tokens.size() == max_pieces) {
      fail(ErrorKind::bad_model, "{}: the added token '{}' has id {}, the next free one is {}", printable(file, 512),
           printable(token.text), token.id, v.tokens.size());
    }
    v.tokens.push_back(token.text), v.scores.push_back(0);
    v.kinds.push_back(token.control ? TokenKind::control : TokenKind::user_defined);
  }
}

void apply(const SpecialTokenSettings& settings, Vocabulary& v, const std::string& file) {
  const auto find = [&](const std::string& token, const char* name) {
    const auto found = std::find(v.tokens.begin(), v.tokens.end(), token);
    if (found == v.tokens.end()) {
      fail(ErrorKind::bad_model, "{}: {} is '{}', which is no token", printable(file, 512), name, printable(token));
    }
    return static_cast<TokenId>(found - v.tokens.begin());
  };
  if (settings.bos) v.bos = find(*settings.bos, "bos_token");
  if (settings.eos) v.eos = find(*settings.eos, "eos_token");
  if (settings.add_bos) v.add_bos = *settings.add_bos;
  if (settings.add_eos) v.add_eos = *settings.add_eos;
}

void check_pieces(const Tokenizer& tokenizer, bool byte_fallback, const std::string& file) {
  for (std::size_t i = 0; i < tokenizer.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const TokenId first = tokenizer.find(tokenizer.token_text(id)).value_or(id);
    if (first != id) fail(ErrorKind::bad_model, "{}: pieces {} and {} have the same text", printable(file, 512), first, id);
  }
  const std::vector<TokenId> bytes = find_byte_tokens(tokenizer);
  const auto missing = std::find(bytes.begin(), bytes.end(), -1);
  if (byte_fallback && missing != bytes.end()) {
    fail(ErrorKind::bad_model, "{}: byte_fallback is set, but byte {:#04x} has no piece", printable(file, 512),
         missing - bytes.begin());
  }
}

std::unique_ptr<const Tokenizer> make(Model& model, const std::string& file) {
  if (model.type != 1 && model.type != 2) {
    const std::string_view name = model.type == 3 ? " (word)" : model.type == 4 ? " (char)" : "";
    fail(ErrorKind::bad_model, "{}: the model type is {}{}, supported are 1 (unigram) and 2 (BPE)", printable(file, 512),
         model.type, name);
  }
  try {
    if (model.type == 1) return make_unigram(std::move(model.vocabulary), model.options);
    return make_sentencepiece_bpe(std::move(model.vocabulary), model.options);
  } catch (const Error& e) {
    throw Error(e.kind(), printable(file, 512) + ": " + e.what());
  }
}

}  // namespace

std::unique_ptr<const Tokenizer> tokenizer_from_sentencepiece(std::span<const std::byte> bytes, const std::string& name,
                                                              const SpecialTokenSettings& settings) {
  Model model;
  model.vocabulary.remove_extra_whitespaces = true;
  each_field(bytes, name, [&](const Field& f) {
    if (f.is(1, Wire::bytes)) read_piece(f, name, model.vocabulary);
    if (f.is(2, Wire::bytes)) read_trainer(f, name, model);
    if (f.is(3, Wire::bytes)) read_normalizer(f, name, model);
    if (f.is(5, Wire::bytes)) read_denormalizer(f, name);
  });
  set_special_ids(model, name);
  add_tokens(model.vocabulary, settings, name), apply(settings, model.vocabulary, name);
  // Tokens that a folder adds are cut out of the text before the model sees the rest.
  if (!settings.added.empty()) model.options.whole_text = false;
  auto tokenizer = make(model, name);
  check_pieces(*tokenizer, model.byte_fallback, name);
  return tokenizer;
}

}  // namespace bitnet
