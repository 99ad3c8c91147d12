// Reads the parts of a tokenizer.json by their types (HuggingFace tokenizers' serialised form).
#include "tokenizers/tokenizer_json_parts.h"

#include <algorithm>

#include "common/error.h"

namespace bitnet::tokenizer_json {
namespace {

constexpr std::string_view mark = "\xe2\x96\x81";  // U+2581, how SentencePiece vocabularies write a space

// The parts of a Sequence, or the thing itself; nothing for null.
std::vector<json> parts_of(const json& root, const char* field, const char* list) {
  const json& value = member(root, field);
  if (value.is_null()) return {};
  if (text(value, "type", field) != "Sequence") return {value};
  const json& parts = member(value, list);
  if (!parts.is_array()) bad(std::string(field) + "." + list, "must be an array");
  return parts.get<std::vector<json>>();
}

void read_split(const json& part, PreTokenization& pre) {
  const json& pattern = member(part, "pattern");
  const std::string behavior = text(part, "behavior", "pre_tokenizer");
  if (member(pattern, "String") == " " && behavior == "MergedWithPrevious") {
    pre.cuts_behind_spaces = true;
    return;
  }
  const std::string regex = text(pattern, "Regex", "pre_tokenizer.pattern");
  const std::optional<SplitRule> rule = split_rule_by_regex(regex);
  if (!rule) bad("pre_tokenizer", fmt::format("splits by '{}', which is not a known expression", printable(regex, 600)));
  // What matches may be kept alone where nothing else is left.
  const bool inverted = flag(part, "invert", false);
  const bool keeps_all = behavior == "Isolated" || (behavior == "Removed" && inverted && matches_everything(*rule));
  if (!keeps_all)
    bad("pre_tokenizer", fmt::format("splits with the behavior '{}', which is not supported", printable(behavior)));
  pre.rules.push_back(*rule);
}

void read_byte_level(const json& part, PreTokenization& pre) {
  pre.byte_level = true;
  pre.add_prefix_space = flag(part, "add_prefix_space", true);
  // Every part that rules have cut would get one.
  if (pre.add_prefix_space && !pre.rules.empty())
    bad("pre_tokenizer", "has add_prefix_space behind a split, which is not supported");
  if (flag(part, "use_regex", true)) pre.rules.push_back(SplitRule::gpt2);
}

void read_metaspace(const json& part, PreTokenization& pre) {
  if (text(part, "replacement", "pre_tokenizer") != mark) bad("pre_tokenizer.replacement", "must be U+2581");
  const json& scheme = member(part, "prepend_scheme");
  const bool never = scheme.is_string() ? scheme == "never" : !flag(part, "add_prefix_space", true);
  if (!never) bad("pre_tokenizer", "is a Metaspace with a prefix, supported is prepend_scheme 'never'");
  pre.marks_spaces = true;
  pre.cuts_at_marks = flag(part, "split", true);
}

TokenId find_token(const Vocabulary& v, const std::string& name, const std::string& where) {
  const auto found = std::find(v.tokens.begin(), v.tokens.end(), name);
  if (found == v.tokens.end()) bad(where, fmt::format("names '{}', which is no token", printable(name)));
  return static_cast<TokenId>(found - v.tokens.begin());
}

void set_once(std::optional<TokenId>& id, std::optional<bool>& add, TokenId value) {
  if (add.value_or(false)) bad("post_processor", "puts more than one token on a side of the text, which is not supported");
  id = value, add = true;
}

void read_template(const json& part, Vocabulary& v) {
  const json& single = member(part, "single");
  if (!single.is_array()) bad("post_processor.single", "must be an array");
  bool behind = false;
  for (const json& item : single) {
    if (!member(item, "Sequence").is_null()) {
      behind = true;
      continue;
    }
    const std::string name = text(member(item, "SpecialToken"), "id", "post_processor.single");
    const TokenId id = find_token(v, name, "post_processor.single");
    behind ? set_once(v.eos, v.add_eos, id) : set_once(v.bos, v.add_bos, id);
  }
}

// BertProcessing and RobertaProcessing: "cls" and "sep" are pairs of text and id.
void read_cls_sep(const json& part, Vocabulary& v) {
  const auto token = [&](const char* name) {
    const json& pair = member(part, name);
    const std::string where = std::string("post_processor.") + name;
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string()) bad(where, "must be a token and its id");
    return find_token(v, pair[0].get<std::string>(), where);
  };
  set_once(v.bos, v.add_bos, token("cls")), set_once(v.eos, v.add_eos, token("sep"));
}

}  // namespace

void bad(const std::string& field, const std::string& fact) { fail(ErrorKind::bad_model, "{} {}", field, fact); }

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
  if (!value.is_number_integer() || value.get<std::int64_t>() < 0 || value.get<std::int64_t>() >= (1 << 22)) {
    bad(where, "must be an id from 0 to 4194303");
  }
  return value.get<TokenId>();
}

Normalizer read_normalizer(const json& root) {
  Normalizer normalizer;
  for (const json& part : parts_of(root, "normalizer", "normalizers")) {
    const std::string type = text(part, "type", "normalizer");
    if (type == "NFC") {
      normalizer.nfc = true;
    } else if (type == "Prepend") {
      if (text(part, "prepend", "normalizer") != mark) bad("normalizer.prepend", "must be U+2581");
      normalizer.prefixes = true;
    } else if (type == "Replace") {
      const bool spaces = member(member(part, "pattern"), "String") == " " && member(part, "content") == mark;
      if (!spaces) bad("normalizer", "replaces something else than spaces by U+2581, which is not supported");
      normalizer.marks_spaces = true;
    } else if (type == "BertNormalizer") {
      normalizer.bert = part;
    } else if (type == "Precompiled") {
      bad("normalizer", "is Precompiled, use the SentencePiece .model file of this tokenizer instead");
    } else {
      bad("normalizer", fmt::format("has the type '{}', which is not supported", printable(type)));
    }
  }
  return normalizer;
}

PreTokenization read_pre_tokenizer(const json& root) {
  PreTokenization pre;
  for (const json& part : parts_of(root, "pre_tokenizer", "pretokenizers")) {
    const std::string type = text(part, "type", "pre_tokenizer");
    if (pre.byte_level) bad("pre_tokenizer", fmt::format("has '{}' behind ByteLevel, which is not supported", printable(type)));
    if (type == "Split") {
      read_split(part, pre);
    } else if (type == "Digits") {
      pre.rules.push_back(flag(part, "individual_digits", false) ? SplitRule::one_number : SplitRule::numbers);
    } else if (type == "ByteLevel") {
      read_byte_level(part, pre);
    } else if (type == "Metaspace") {
      read_metaspace(part, pre);
    } else if (type == "BertPreTokenizer") {
      pre.bert = true;
    } else {
      bad("pre_tokenizer", fmt::format("has the type '{}', which is not supported", printable(type)));
    }
  }
  return pre;
}

namespace {

void read_post_processor(const json& root, Vocabulary& vocabulary) {
  vocabulary.add_bos = false, vocabulary.add_eos = false;
  for (const json& part : parts_of(root, "post_processor", "processors")) {
    const std::string type = text(part, "type", "post_processor");
    if (type == "TemplateProcessing") {
      read_template(part, vocabulary);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      read_cls_sep(part, vocabulary);
    } else if (type != "ByteLevel") {
      bad("post_processor", fmt::format("has the type '{}', which is not supported", printable(type)));
    }
  }
}

void set_special(Vocabulary& v, std::optional<TokenId>& id, std::optional<bool>& add, const std::optional<std::string>& token,
                 std::optional<bool> wanted, const char* name) {
  if (token && !add.value_or(false)) id = find_token(v, *token, name);
  if (wanted) add = *wanted;
}

}  // namespace

void read_special(const json& root, const SpecialTokenSettings& settings, Vocabulary& v) {
  read_post_processor(root, v);
  set_special(v, v.bos, v.add_bos, settings.bos, settings.add_bos, "bos_token");
  set_special(v, v.eos, v.add_eos, settings.eos, settings.add_eos, "eos_token");
}

}  // namespace bitnet::tokenizer_json
