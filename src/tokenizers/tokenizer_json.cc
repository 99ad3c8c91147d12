// Reads HuggingFace's tokenizer.json: which algorithm, with which vocabulary, normaliser and special tokens.
#include <algorithm>

#include "common/error.h"
#include "tokenizers/byte_bpe.h"
#include "tokenizers/sentencepiece_bpe.h"
#include "tokenizers/tokenizer_json_parts.h"
#include "tokenizers/unigram.h"
#include "tokenizers/word_piece.h"

namespace bitnet {
namespace {

using namespace tokenizer_json;

constexpr std::size_t max_bytes = 256u << 20;
constexpr int max_depth = 64;

// Makes room and puts a token at its id; two different texts for one id are an error.
void place(Vocabulary& v, TokenId id, const std::string& token, TokenKind kind, const std::string& where) {
  const auto i = static_cast<std::size_t>(id);
  if (i >= v.tokens.size()) v.tokens.resize(i + 1), v.kinds.resize(i + 1, TokenKind::unused);
  if (!v.tokens[i].empty() && v.tokens[i] != token)
    bad(where, fmt::format("gives id {} to '{}' and '{}'", id, printable(v.tokens[i]), printable(token)));
  v.tokens[i] = token, v.kinds[i] = kind;
}

void read_vocab(const json& model, Vocabulary& v) {
  const json& vocab = member(model, "vocab");
  if (!vocab.is_object() || vocab.empty()) bad("model.vocab", "must be an object with tokens");
  // Ids must be nearly dense, so that no id can ask for more memory than the file fills.
  const auto limit = static_cast<TokenId>(vocab.size() * 4 + 4096);
  v.tokens.reserve(vocab.size());
  for (const auto& [token, id] : vocab.items()) {
    const TokenId value = id_of(id, "model.vocab['" + printable(token) + "']");
    if (value >= limit)
      bad("model.vocab['" + printable(token) + "']",
          fmt::format("is {}, a vocabulary of {} tokens must stay below {}", value, vocab.size(), limit));
    place(v, value, token, TokenKind::normal, "model.vocab");
  }
}

void read_merges(const json& model, Vocabulary& v) {
  const json& merges = member(model, "merges");
  if (!merges.is_array()) bad("model.merges", "must be an array");
  v.merges.reserve(merges.size());
  for (const json& merge : merges) {
    const bool pair = merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
    if (!pair && !merge.is_string()) bad(fmt::format("model.merges[{}]", v.merges.size()), "must be a string or two strings");
    v.merges.push_back(pair ? merge[0].get<std::string>() + " " + merge[1].get<std::string>() : merge.get<std::string>());
  }
}

std::vector<SpecialToken> read_added(const json& root, Vocabulary& v) {
  std::vector<SpecialToken> special;
  const json& added = member(root, "added_tokens");
  if (!added.is_array() && !added.is_null()) bad("added_tokens", "must be an array");
  const auto limit = static_cast<TokenId>((v.tokens.size() + added.size()) * 4 + 4096);
  for (const json& token : added) {
    const std::string where = fmt::format("added_tokens[{}]", special.size());
    const std::string content = text(token, "content", where);
    const TokenId id = id_of(member(token, "id"), where + ".id");
    if (id >= limit) bad(where + ".id", fmt::format("is {}, it must stay below {}", id, limit));
    if (content.empty()) bad(where + ".content", "is empty");
    const bool control = flag(token, "special", false);
    place(v, id, content, control ? TokenKind::control : TokenKind::user_defined, where);
    special.push_back({.text = content,
                       .id = id,
                       .control = control,
                       .strip_left = flag(token, "lstrip", false),
                       .strip_right = flag(token, "rstrip", false),
                       .single_word = flag(token, "single_word", false)});
  }
  return special;
}

void set_unknown(const json& model, Vocabulary& v) {
  const json& unk = member(model, "unk_token");
  if (!unk.is_string()) return;
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    if (v.tokens[i] == unk.get<std::string>()) v.unk = static_cast<TokenId>(i);
  }
  if (!v.unk) bad("model.unk_token", fmt::format("is '{}', which is no token", printable(unk.get<std::string>())));
}

// SentencePiece's form: one of the two parts writes spaces as U+2581, nothing else touches the text.
void check_sentencepiece(const Normalizer& normalizer, const PreTokenization& pre, const Vocabulary& v) {
  if (normalizer.nfc || !normalizer.bert.is_null()) bad("normalizer", "is of a kind that is not supported with this model");
  if (pre.bert || !pre.rules.empty()) bad("pre_tokenizer", "is of a kind that is not supported with this model");
  if (!normalizer.marks_spaces && !pre.marks_spaces)
    bad("normalizer", "must write spaces as U+2581 where bytes are not letters");
  if (pre.cuts_behind_spaces && !normalizer.marks_spaces) bad("pre_tokenizer", "splits at spaces, which is not supported");
  for (const std::string& token : v.tokens) {
    if (pre.cuts_at_marks && token.find(space_mark, 1) != std::string::npos) {
      bad("pre_tokenizer",
          fmt::format("splits at U+2581, but the token '{}' has one inside, which is not supported", printable(token)));
    }
  }
}

std::unique_ptr<const Tokenizer> read_sentencepiece_bpe(Vocabulary v, const Normalizer& normalizer, const PreTokenization& pre,
                                                        std::vector<SpecialToken> special) {
  check_sentencepiece(normalizer, pre, v);
  v.add_space_prefix = normalizer.prefixes;
  return make_sentencepiece_bpe(std::move(v), {.prefix_every_segment = true, .special = std::move(special)});
}

std::unique_ptr<const Tokenizer> read_bpe(const json& root, const json& model, const SpecialTokenSettings& settings) {
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const json& value = member(model, affix);
    if (value.is_string() && value != "") bad(std::string("model.") + affix, "is not empty, which is not supported");
  }
  Vocabulary v;
  read_vocab(model, v), read_merges(model, v);
  for (std::size_t i = 0; flag(model, "byte_fallback", false) && i < v.tokens.size(); ++i) {
    if (byte_of_token(v.tokens[i]) >= 0) v.kinds[i] = TokenKind::byte;
  }
  set_unknown(model, v);
  std::vector<SpecialToken> special = read_added(root, v);
  read_special(root, settings, v);
  const Normalizer normalizer = read_normalizer(root);
  const PreTokenization pre = read_pre_tokenizer(root);
  if (!pre.byte_level) return read_sentencepiece_bpe(std::move(v), normalizer, pre, std::move(special));
  if (normalizer.prefixes || normalizer.marks_spaces || !normalizer.bert.is_null()) {
    bad("normalizer", "is of a kind that is not supported with ByteLevel");
  }
  if (pre.bert || pre.marks_spaces || pre.cuts_behind_spaces)
    bad("pre_tokenizer", "mixes ByteLevel with a kind that is not supported");
  ByteBpeOptions options;
  options.pre = pre.rules, options.add_prefix_space = pre.add_prefix_space;
  options.nfc = normalizer.nfc, options.ignore_merges = flag(model, "ignore_merges", false);
  options.special = std::move(special);
  return make_byte_bpe(std::move(v), options);
}

std::unique_ptr<const Tokenizer> read_word_piece(const json& root, const json& model, const SpecialTokenSettings& settings) {
  Vocabulary v;
  read_vocab(model, v), set_unknown(model, v);
  WordPieceOptions options;
  options.special = read_added(root, v);
  read_special(root, settings, v);
  if (!read_pre_tokenizer(root).bert) bad("pre_tokenizer", "must be a BertPreTokenizer where the model is WordPiece");
  const Normalizer normalizer = read_normalizer(root);
  if (normalizer.nfc || normalizer.prefixes || normalizer.marks_spaces)
    bad("normalizer", "must be a BertNormalizer or null where the model is WordPiece");
  const bool bert = !normalizer.bert.is_null();
  options.lowercase = flag(normalizer.bert, "lowercase", bert), options.clean_text = flag(normalizer.bert, "clean_text", bert);
  options.split_chinese = flag(normalizer.bert, "handle_chinese_chars", bert);
  options.strip_accents = flag(normalizer.bert, "strip_accents", options.lowercase);
  if (member(model, "continuing_subword_prefix").is_string()) {
    options.continuation = text(model, "continuing_subword_prefix", "model");
  }
  const json& longest = member(model, "max_input_chars_per_word");
  if (longest.is_number_unsigned()) options.max_word_chars = std::min<std::int64_t>(longest.get<std::int64_t>(), 1000);
  return make_word_piece(std::move(v), options);
}

void read_scored_vocab(const json& model, Vocabulary& v) {
  const json& vocab = member(model, "vocab");
  if (!vocab.is_array() || vocab.empty()) bad("model.vocab", "must be an array with tokens");
  const bool byte_fallback = flag(model, "byte_fallback", false);
  for (const json& entry : vocab) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      bad(fmt::format("model.vocab[{}]", v.tokens.size()), "must be a token and its score");
    }
    v.tokens.push_back(entry[0].get<std::string>()), v.scores.push_back(entry[1].get<float>());
    v.kinds.push_back(byte_fallback && byte_of_token(v.tokens.back()) >= 0 ? TokenKind::byte : TokenKind::normal);
  }
}

std::unique_ptr<const Tokenizer> read_unigram(const json& root, const json& model, const SpecialTokenSettings& settings) {
  Vocabulary v;
  read_scored_vocab(model, v);
  if (member(model, "unk_id").is_number_integer()) v.unk = id_of(member(model, "unk_id"), "model.unk_id");
  read_added(root, v);
  v.scores.resize(v.tokens.size());
  if (v.unk && static_cast<std::size_t>(*v.unk) < v.kinds.size()) {
    v.kinds[static_cast<std::size_t>(*v.unk)] = TokenKind::unknown;
  }
  read_special(root, settings, v);
  const Normalizer normalizer = read_normalizer(root);
  check_sentencepiece(normalizer, read_pre_tokenizer(root), v);
  v.add_space_prefix = normalizer.prefixes, v.remove_extra_whitespaces = false;
  return make_unigram(std::move(v));
}

// The parser keeps its own stack, so depth is a limit on what later code walks through, not on the C++ stack.
json parse(std::string_view text, const std::string& name) {
  if (text.size() > max_bytes) bad(name, fmt::format("has {} bytes, at most {} are allowed", text.size(), max_bytes));
  bool too_deep = false;
  const json::parser_callback_t limit = [&](int depth, json::parse_event_t, json&) {
    too_deep = too_deep || depth > max_depth;
    return !too_deep;
  };
  try {
    json root = json::parse(text, limit);
    if (too_deep) bad(name, fmt::format("is nested deeper than {}", max_depth));
    return root;
  } catch (const json::exception& e) {
    bad(name, fmt::format("is not JSON: {}", printable(e.what(), 200)));
  }
}

}  // namespace

std::unique_ptr<const Tokenizer> tokenizer_from_json(std::string_view bytes, const std::string& name,
                                                     const SpecialTokenSettings& settings) {
  const std::string file = printable(name, 512);
  const json root = parse(bytes, file);
  try {
    const json& model = member(root, "model");
    std::string type = member(model, "type").is_string() ? text(model, "type", "model") : "BPE";
    if (type == "BPE") return read_bpe(root, model, settings);
    if (type == "WordPiece") return read_word_piece(root, model, settings);
    if (type == "Unigram") return read_unigram(root, model, settings);
    bad("model.type", fmt::format("is '{}', supported are BPE, WordPiece and Unigram", printable(type)));
  } catch (const Error& e) {
    throw Error(e.kind(), file + ": " + e.what());
  } catch (const json::exception& e) {
    bad(file, printable(e.what(), 200));
  }
}

}  // namespace bitnet
