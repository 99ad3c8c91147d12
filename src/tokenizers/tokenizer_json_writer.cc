// Writes tokenizer.json part by part.
#include "tokenizers/tokenizer_json_writer.h"

#include <nlohmann/json.hpp>

#include "common/error.h"
#include "tokenizers/byte_bpe.h"

namespace bitnet {
namespace {

using Json = nlohmann::ordered_json;

bool is_special(TokenKind kind) {
  return kind == TokenKind::control || kind == TokenKind::user_defined || kind == TokenKind::unknown;
}

Json added_tokens(const Vocabulary& v) {
  Json added = Json::array();
  for (std::size_t i = 0; i < v.kinds.size(); ++i) {
    if (!is_special(v.kinds[i])) continue;
    added.push_back({{"id", i},
                     {"content", v.tokens[i]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", v.kinds[i] != TokenKind::user_defined}});
  }
  return added;
}

Json byte_level() { return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}}; }

Json split(std::string_view regex) {
  return {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
}

Json pre_tokenizer(const PreTokenizer& rules) {
  Json parts = Json::array();
  for (const SplitRule rule : rules) parts.push_back(split(regex_of(rule)));
  parts.push_back(byte_level());
  return {{"type", "Sequence"}, {"pretokenizers", std::move(parts)}};
}

Json special_token(const std::string& text) { return {{"SpecialToken", {{"id", text}, {"type_id", 0}}}}; }

// BOS before the text and EOS behind it, as far as the vocabulary asks for them.
Json post_processor(const Vocabulary& v, bool add_bos) {
  const bool begin = add_bos && v.bos, end = v.add_eos.value_or(false) && v.eos;
  if (!begin && !end) return byte_level();
  const auto text = [&](TokenId id) { return v.tokens[static_cast<std::size_t>(id)]; };
  Json single = Json::array(), pair = Json::array(), tokens = Json::object();
  const auto use = [&](TokenId id) {
    tokens[text(id)] = {{"id", text(id)}, {"ids", Json::array({id})}, {"tokens", Json::array({text(id)})}};
  };
  if (begin) use(*v.bos);
  if (end) use(*v.eos);
  for (const auto& [name, type] : {std::pair("A", 0), std::pair("B", 1)}) {
    Json part = Json::array();
    if (begin) part.push_back(special_token(text(*v.bos)));
    part.push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
    if (end) part.push_back(special_token(text(*v.eos)));
    if (type == 0) single = part;
    pair.insert(pair.end(), part.begin(), part.end());
  }
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
}

Json model(const Vocabulary& v, bool ignore_merges) {
  Json vocab = Json::object();
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    if (i >= v.kinds.size() || !is_special(v.kinds[i])) vocab[v.tokens[i]] = i;
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", ignore_merges},
          {"vocab", std::move(vocab)},
          {"merges", v.merges}};
}

}  // namespace

std::string tokenizer_to_json(const Vocabulary& vocabulary) {
  if (vocabulary.model != "gpt2") {
    fail(ErrorKind::unsupported, "tokenizer.ggml.model is '{}', a tokenizer.json is written for gpt2 only",
         printable(vocabulary.model));
  }
  const PreTokenizerFamily family = byte_bpe_family(vocabulary);
  const Json root = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", added_tokens(vocabulary)},
                     {"normalizer", family.nfc ? Json{{"type", "NFC"}} : Json(nullptr)},
                     {"pre_tokenizer", pre_tokenizer(family.rules)},
                     {"post_processor", post_processor(vocabulary, vocabulary.add_bos.value_or(family.add_bos))},
                     {"decoder", byte_level()},
                     {"model", model(vocabulary, family.ignore_merges)}};
  return root.dump(1, ' ', false, Json::error_handler_t::strict);
}

}  // namespace bitnet
