// Reads HuggingFace's tokenizer.json: which algorithm, with which vocabulary, normaliser and special tokens.
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "tokenizers/byte_bpe.h"
#include "tokenizers/sentencepiece_bpe.h"
#include "tokenizers/unigram.h"
#include "tokenizers/word_piece.h"

namespace bitnet {
namespace {

using nlohmann::json;

constexpr std::size_t max_bytes = 256u << 20;
constexpr int max_depth = 64;

[[noreturn]] void bad(const std::string& field, const std::string& fact) { fail(ErrorKind::bad_model, "{} {}", field, fact); }

const json& member(const json& object, const char* name) {
  static const json null;
  if (!object.is_object()) return null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

std::string text(const json& object, const char* name, const std::string& where) {
  const json& value = member(object, name);
  if (!value.is_string()) bad(where + "." + name, "must be a string");
  return value.get<std::string>();
}

bool flag(const json& object, const char* name, bool fallback) {
  const json& value = member(object, name);
  return value.is_boolean() ? value.get<bool>() : fallback;
}

TokenId id_of(const json& value, const std::string& where) {
  if (!value.is_number_integer() || value.get<std::int64_t>() < 0 || value.get<std::int64_t>() >= (1 << 22))
    bad(where, "must be an id from 0 to 4194303");
  return value.get<TokenId>();
}

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
    special.push_back({content, id, control, flag(token, "lstrip", false), flag(token, "rstrip", false)});
  }
  return special;
}

// The parts of a Sequence, or the thing itself; nothing for null.
std::vector<json> parts_of(const json& value, const char* list) {
  if (value.is_null()) return {};
  if (text(value, "type", list) != "Sequence") return {value};
  const json& parts = member(value, list);
  if (!parts.is_array()) bad(list, "must be an array");
  return parts.get<std::vector<json>>();
}

struct Splitting {
  std::optional<PreTokenizer> pre;
  bool byte_level = false, digits = false, add_prefix_space = false;
  int number_split = 0, cjk_split = 0;
};

void read_split(const json& part, Splitting& s) {
  const json& pattern = member(part, "pattern");
  if (!member(pattern, "Regex").is_string()) return;  // by a plain string: the SentencePiece form, which needs no splitting
  const std::string regex = text(pattern, "Regex", "pre_tokenizer.pattern");
  if (regex == R"(\p{N}{1,3})") {
    s.number_split = 3;
  } else if (regex == "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+") {
    s.cjk_split = 1;
  } else if (s.number_split == 3 && s.cjk_split == 1) {
    static constexpr std::string_view deepseek =
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
        "?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";
    if (regex != deepseek)
      bad("pre_tokenizer", fmt::format("splits by '{}', which is not a known expression", printable(regex, 300)));
    s.pre = PreTokenizer::deepseek_v3;
  } else {
    s.pre = pre_tokenizer_by_regex(regex);
    if (!s.pre) bad("pre_tokenizer", fmt::format("splits by '{}', which is not a known expression", printable(regex, 300)));
  }
}

Splitting read_pre_tokenizer(const json& root) {
  Splitting s;
  for (const json& part : parts_of(member(root, "pre_tokenizer"), "pretokenizers")) {
    const std::string type = text(part, "type", "pre_tokenizer");
    if (type == "Split") {
      read_split(part, s);
    } else if (type == "Digits") {
      if (!flag(part, "individual_digits", false))
        bad("pre_tokenizer", "has Digits that are not individual, which is not supported");
      s.digits = true;
    } else if (type == "ByteLevel") {
      s.byte_level = true;
      s.add_prefix_space = flag(part, "add_prefix_space", true);
      if (flag(part, "use_regex", true) && !s.pre) s.pre = s.digits ? PreTokenizer::smollm : PreTokenizer::gpt2;
    } else if (type != "Metaspace" && type != "BertPreTokenizer" && type != "WhitespaceSplit") {
      bad("pre_tokenizer", fmt::format("has the type '{}', which is not supported", printable(type)));
    }
  }
  return s;
}

// BOS and EOS of a TemplateProcessing: special tokens before and behind the sequence of its `single` form.
void read_post_processor(const json& root, Vocabulary& v) {
  v.add_bos = false, v.add_eos = false;
  for (const json& part : parts_of(member(root, "post_processor"), "processors")) {
    if (text(part, "type", "post_processor") != "TemplateProcessing") continue;
    bool behind = false;
    const json& single = member(part, "single");
    if (!single.is_array()) bad("post_processor.single", "must be an array");
    for (const json& item : single) {
      if (item.is_object() && item.contains("Sequence")) behind = true;
      const json& token = member(item, "SpecialToken");
      if (token.is_null()) continue;
      const std::string name = text(token, "id", "post_processor.single");
      std::optional<TokenId> id;
      for (std::size_t i = 0; !id && i < v.tokens.size(); ++i) {
        if (v.tokens[i] == name) id = static_cast<TokenId>(i);
      }
      if (!id) bad("post_processor.single", fmt::format("names '{}', which is no token", printable(name)));
      (behind ? v.eos : v.bos) = id;
      (behind ? v.add_eos : v.add_bos) = true;
    }
  }
}

bool normalises_with(const json& root, std::string_view wanted) {
  for (const json& part : parts_of(member(root, "normalizer"), "normalizers")) {
    if (text(part, "type", "normalizer") == wanted) return true;
  }
  return false;
}

void check_normalizer(const json& root, std::initializer_list<std::string_view> supported) {
  for (const json& part : parts_of(member(root, "normalizer"), "normalizers")) {
    const std::string type = text(part, "type", "normalizer");
    if (std::find(supported.begin(), supported.end(), type) == supported.end()) {
      bad("normalizer", fmt::format("has the type '{}', which is not supported with this model", printable(type)));
    }
  }
}

void set_unknown(const json& model, Vocabulary& v) {
  const json& unk = member(model, "unk_token");
  if (!unk.is_string()) return;
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    if (v.tokens[i] == unk.get<std::string>()) v.unk = static_cast<TokenId>(i);
  }
  if (!v.unk) bad("model.unk_token", fmt::format("is '{}', which is no token", printable(unk.get<std::string>())));
}

std::unique_ptr<const Tokenizer> read_bpe(const json& root, const json& model) {
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const json& value = member(model, affix);
    if (value.is_string() && !value.get<std::string>().empty())
      bad(std::string("model.") + affix, "is not empty, which is not supported");
  }
  Vocabulary v;
  read_vocab(model, v), read_merges(model, v);
  const Splitting splitting = read_pre_tokenizer(root);
  const bool byte_fallback = flag(model, "byte_fallback", false);
  for (std::size_t i = 0; byte_fallback && i < v.tokens.size(); ++i) {
    if (byte_of_token(v.tokens[i]) >= 0) v.kinds[i] = TokenKind::byte;
  }
  set_unknown(model, v);
  std::vector<SpecialToken> special = read_added(root, v);
  read_post_processor(root, v);
  if (!splitting.byte_level) {
    check_normalizer(root, {"Prepend", "Replace"});
    v.add_space_prefix = normalises_with(root, "Prepend");
    return make_sentencepiece_bpe(std::move(v), {.prefix_every_segment = true, .special = std::move(special)});
  }
  check_normalizer(root, {"NFC"});
  ByteBpeOptions options;
  options.pre = splitting.pre.value_or(PreTokenizer::whole);
  options.nfc = normalises_with(root, "NFC");
  options.ignore_merges = flag(model, "ignore_merges", false);
  options.add_prefix_space = splitting.add_prefix_space;
  options.special = std::move(special);
  return make_byte_bpe(std::move(v), options);
}

std::unique_ptr<const Tokenizer> read_word_piece(const json& root, const json& model) {
  Vocabulary v;
  read_vocab(model, v), set_unknown(model, v);
  WordPieceOptions options;
  options.special = read_added(root, v);
  read_post_processor(root, v);
  check_normalizer(root, {"BertNormalizer"});
  for (const json& part : parts_of(member(root, "normalizer"), "normalizers")) {
    options.lowercase = flag(part, "lowercase", true), options.clean_text = flag(part, "clean_text", true);
    options.split_chinese = flag(part, "handle_chinese_chars", true);
    options.strip_accents = flag(part, "strip_accents", options.lowercase);
  }
  if (member(model, "continuing_subword_prefix").is_string())
    options.continuation = text(model, "continuing_subword_prefix", "model");
  const json& longest = member(model, "max_input_chars_per_word");
  if (longest.is_number_unsigned()) options.max_word_chars = std::min<std::int64_t>(longest.get<std::int64_t>(), 1000);
  return make_word_piece(std::move(v), options);
}

std::unique_ptr<const Tokenizer> read_unigram(const json& root, const json& model) {
  Vocabulary v;
  const json& vocab = member(model, "vocab");
  if (!vocab.is_array() || vocab.empty()) bad("model.vocab", "must be an array with tokens");
  for (const json& entry : vocab) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      bad(fmt::format("model.vocab[{}]", v.tokens.size()), "must be a token and its score");
    v.tokens.push_back(entry[0].get<std::string>()), v.scores.push_back(entry[1].get<float>()),
        v.kinds.push_back(TokenKind::normal);
    if (byte_of_token(v.tokens.back()) >= 0 && flag(model, "byte_fallback", false)) v.kinds.back() = TokenKind::byte;
  }
  if (member(model, "unk_id").is_number_integer()) v.unk = id_of(member(model, "unk_id"), "model.unk_id");
  read_added(root, v);
  v.scores.resize(v.tokens.size());
  if (v.unk && static_cast<std::size_t>(*v.unk) < v.kinds.size())
    v.kinds[static_cast<std::size_t>(*v.unk)] = TokenKind::unknown;
  read_post_processor(root, v);
  check_normalizer(root, {"Precompiled", "Replace", "Strip"});
  for (const json& part : parts_of(member(root, "normalizer"), "normalizers")) {
    if (text(part, "type", "normalizer") == "Precompiled")
      bad("normalizer", "is Precompiled, use the SentencePiece .model file of this tokenizer instead");
  }
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

std::unique_ptr<const Tokenizer> tokenizer_from_json(std::string_view bytes, const std::string& name) {
  const std::string file = printable(name, 512);
  const json root = parse(bytes, file);
  try {
    const json& model = member(root, "model");
    std::string type = member(model, "type").is_string() ? text(model, "type", "model") : "BPE";
    if (type == "BPE") return read_bpe(root, model);
    if (type == "WordPiece") return read_word_piece(root, model);
    if (type == "Unigram") return read_unigram(root, model);
    bad("model.type", fmt::format("is '{}', supported are BPE, WordPiece and Unigram", printable(type)));
  } catch (const Error& e) {
    throw Error(e.kind(), file + ": " + e.what());
  } catch (const json::exception& e) {
    bad(file, printable(e.what(), 200));
  }
}

}  // namespace bitnet
