// Reads a SentencePiece .model file: a ModelProto message (sentencepiece_model.proto) as raw protobuf.
#include <functional>

#include "common/cursor.h"
#include "tokenizers/sentencepiece_bpe.h"
#include "tokenizers/tokenizer.h"
#include "tokenizers/unigram.h"

namespace bitnet {
namespace {

struct Field {
  std::uint32_t number;
  std::uint64_t value = 0;           // of varints and fixed-width fields
  std::span<const std::byte> bytes;  // of length-delimited fields
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
    Field f{.number = static_cast<std::uint32_t>(tag >> 3), .bytes = {}};
    switch (tag & 7) {
      case 0:
        f.value = read_varint(in);
        break;
      case 1:
        f.value = in.number<std::uint64_t>("64-bit field");
        break;
      case 2:
        f.bytes = in.take(read_varint(in), "field");
        break;
      case 5:
        f.value = in.number<std::uint32_t>("32-bit field");
        break;
      default:
        in.fail("field {} has wire type {}, which sentencepiece does not write", f.number, tag & 7);
    }
    field(f);
  }
}

struct Trainer {
  std::uint64_t model_type = 1;
  std::int64_t unk = 0, bos = 1, eos = 2, pad = -1;
};

void read_piece(const Field& piece, const std::string& name, Vocabulary& v) {
  std::string text;
  float score = 0;
  std::uint64_t type = 1;
  each_field(piece.bytes, name, [&](const Field& f) {
    if (f.number == 1) text = f.text();
    if (f.number == 2) score = f.as_float();
    if (f.number == 3) type = f.value;
  });
  if (type < 1 || type > 6)
    fail(ErrorKind::bad_model, "{}: piece {} has type {}, allowed are 1 to 6", printable(name, 512), v.tokens.size(), type);
  v.tokens.push_back(std::move(text)), v.scores.push_back(score), v.kinds.push_back(static_cast<TokenKind>(type));
}

void read_trainer(const Field& spec, const std::string& name, Trainer& trainer) {
  each_field(spec.bytes, name, [&](const Field& f) {
    const auto id = static_cast<std::int32_t>(f.value);
    if (f.number == 3) trainer.model_type = f.value;
    if (f.number == 40) trainer.unk = id;
    if (f.number == 41) trainer.bos = id;
    if (f.number == 42) trainer.eos = id;
    if (f.number == 43) trainer.pad = id;
  });
}

void read_normalizer(const Field& spec, const std::string& name, Vocabulary& v) {
  each_field(spec.bytes, name, [&](const Field& f) {
    if (f.number == 2) v.precompiled_charsmap = f.text();
    if (f.number == 3) v.add_space_prefix = f.value != 0;
    if (f.number == 4) v.remove_extra_whitespaces = f.value != 0;
  });
}

// The library never takes text for a control symbol, only for a user-defined one.
std::vector<SpecialToken> user_defined(const Vocabulary& v) {
  std::vector<SpecialToken> special;
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    if (v.kinds[i] == TokenKind::user_defined) special.push_back({v.tokens[i], static_cast<TokenId>(i), false, false, false});
  }
  return special;
}

}  // namespace

std::unique_ptr<const Tokenizer> tokenizer_from_sentencepiece(std::span<const std::byte> bytes, const std::string& name) {
  Vocabulary v;
  Trainer trainer;
  each_field(bytes, name, [&](const Field& f) {
    if (f.number == 1) read_piece(f, name, v);
    if (f.number == 2) read_trainer(f, name, trainer);
    if (f.number == 3) read_normalizer(f, name, v);
  });
  const auto id = [](std::int64_t value) { return value < 0 ? std::nullopt : std::optional(static_cast<TokenId>(value)); };
  v.unk = id(trainer.unk), v.bos = id(trainer.bos), v.eos = id(trainer.eos), v.pad = id(trainer.pad);
  // The library itself adds neither; models that want BOS say so elsewhere.
  v.add_bos = false, v.add_eos = false;
  std::vector<SpecialToken> special = user_defined(v);
  if (trainer.model_type == 1) return make_unigram(std::move(v), std::move(special));
  if (trainer.model_type == 2)
    return make_sentencepiece_bpe(std::move(v), {.prefix_every_segment = false, .special = std::move(special)});
  fail(ErrorKind::bad_model, "{}: the model type is {}, supported are unigram (1) and BPE (2)", printable(name, 512),
       trainer.model_type);
}

}  // namespace bitnet
