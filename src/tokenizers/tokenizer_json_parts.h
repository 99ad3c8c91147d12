// What do the parts of a tokenizer.json around its model ask for? Normaliser, pre-tokenizer and post-processor as plain data.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tokenizers/pre_tokenizer.h"
#include "tokenizers/tokenizer.h"

namespace bitnet::tokenizer_json {

using nlohmann::json;

// All of these throw Error{bad_model} with the field's name.
[[noreturn]] void bad(const std::string& field, const std::string& fact);
const json& member(const json& object, const char* name);  // null where there is none
std::string text(const json& object, const char* name, const std::string& where);
bool flag(const json& object, const char* name, bool fallback);
TokenId id_of(const json& value, const std::string& where);

struct Normalizer {
  bool nfc = false;
  bool marks_spaces = false;  // " " becomes U+2581
  bool prefixes = false;      // U+2581 goes before the text
  json bert;                  // a BertNormalizer, else null
};

struct PreTokenization {
  PreTokenizer rules;
  bool byte_level = false;        // bytes become letters after the rules
  bool add_prefix_space = false;  // of byte_level
  bool bert = false;
  bool marks_spaces = false;   // " " becomes U+2581, as Metaspace does it
  bool cuts_at_marks = false;  // words begin at U+2581
  bool cuts_behind_spaces = false;
};

// Anything that has no exact counterpart here is refused.
Normalizer read_normalizer(const json& root);
PreTokenization read_pre_tokenizer(const json& root);

// Sets bos, eos, add_bos and add_eos to what the post-processor puts around a single text, then to what the settings say: a
// token that the post-processor adds stays the one that is added.
void read_special(const json& root, const SpecialTokenSettings& settings, Vocabulary& vocabulary);

}  // namespace bitnet::tokenizer_json
