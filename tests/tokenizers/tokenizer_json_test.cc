// tokenizer.json: each algorithm from a small document, and documents that are refused with the field named.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "common/error.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {
namespace {

using nlohmann::json;
using testing::ElementsAre;

constexpr EncodeOptions plain{.add_special = false};

json byte_level() {
  return json::parse(
      R"({"added_tokens": [{"id": 6, "content": "<s>", "special": true}, {"id": 7, "content": "<m>", "special": true, "lstrip": true}],
    "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "\u0120": 2, "ab": 3, "\u0120a": 4, "c": 5}, "merges": ["a b", ["\u0120", "a"]]}})");
}

std::unique_ptr<const Tokenizer> read(const json& document) { return tokenizer_from_json(document.dump(), "t.json"); }

TEST(TokenizerJson, ReadsByteLevelBpe) {
  const auto tokenizer = read(byte_level());
  EXPECT_THAT(tokenizer->encode("ab a", plain), ElementsAre(3, 4));
  EXPECT_THAT(tokenizer->encode("a"), ElementsAre(6, 0)) << "BOS from the post-processor";
  EXPECT_THAT(tokenizer->encode("a  <m>b", plain), ElementsAre(0, 7, 1)) << "lstrip takes the spaces before";
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{6, 3, 4}), "ab a");
}

TEST(TokenizerJson, TakesSpecialTokensFromItsFolder) {
  const auto with = [](const SpecialTokenSettings& settings) {
    return tokenizer_from_json(byte_level().dump(), "t.json", settings);
  };
  EXPECT_THAT(with({.add_bos = false})->encode("a"), ElementsAre(0));
  EXPECT_THAT(with({.bos = "<m>"})->encode("a"), ElementsAre(6, 0)) << "what the post-processor adds stays what is added";
  EXPECT_EQ(with({.eos = "<m>"})->vocabulary().eos, 7);
  EXPECT_THAT(with({.eos = "<m>"})->encode("a"), ElementsAre(6, 0));
  EXPECT_THAT(with({.eos = "<m>", .add_eos = true})->encode("a"), ElementsAre(6, 0, 7));
  EXPECT_THAT([&] { with({.eos = "<x>"}); }, testing::ThrowsMessage<Error>("t.json: eos_token names '<x>', which is no token"));
}

TEST(TokenizerJson, ReadsSentencePieceBpe) {
  const auto tokenizer = read(json::parse(R"({"added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
    "pre_tokenizer": null, "post_processor": null,
    "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "fuse_unk": true, "vocab": {"<unk>": 0, "<0x78>": 1, "\u2581": 2, "a": 3, "\u2581a": 4}, "merges": ["\u2581 a"]}})"));
  EXPECT_THAT(tokenizer->encode("a ax", plain), ElementsAre(4, 4, 1));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a ax", plain)), "a ax");
  EXPECT_THAT(tokenizer->encode("yza", plain), ElementsAre(2, 0, 3)) << "unknown characters fuse";
}

TEST(TokenizerJson, ReadsWordPiece) {
  const auto tokenizer = read(json::parse(
      R"({"added_tokens": [], "normalizer": {"type": "BertNormalizer", "lowercase": true, "strip_accents": null, "clean_text": true, "handle_chinese_chars": true},
    "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null, "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "un": 1, "##do": 2}}})"));
  EXPECT_THAT(tokenizer->encode("UNDO x"), ElementsAre(1, 2, 0));
}

TEST(TokenizerJson, CutsDigitsAsTheDocumentSays) {
  json document = byte_level();
  document["model"]["vocab"]["1"] = 8, document["model"]["vocab"]["11"] = 9;
  document["model"]["merges"].push_back("1 1");
  EXPECT_THAT(read(document)->encode("111", plain), ElementsAre(9, 8));
  const json byte_level_part = document["pre_tokenizer"];
  const auto with_digits = [&](bool individual) {
    document["pre_tokenizer"] = {{"type", "Sequence"},
                                 {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", individual}}, byte_level_part}}};
    return read(document)->encode("a111", plain);
  };
  EXPECT_THAT(with_digits(true), ElementsAre(0, 8, 8, 8));
  EXPECT_THAT(with_digits(false), ElementsAre(0, 9, 8));
}

TEST(TokenizerJson, PrefixesEachStretchBetweenSpecialTokens) {
  json document = byte_level();
  document["pre_tokenizer"]["add_prefix_space"] = true;
  EXPECT_THAT(read(document)->encode("a<s>a<s> a", plain), ElementsAre(4, 6, 4, 6, 4));
}

TEST(TokenizerJson, MatchesSingleWordTokensOnlyAlone) {
  json document = byte_level();
  document["added_tokens"].push_back({{"id", 8}, {"content", "cab"}, {"single_word", true}});
  const auto tokenizer = read(document);
  EXPECT_THAT(tokenizer->encode("cab", plain), ElementsAre(8));
  EXPECT_THAT(tokenizer->encode("a cab", plain), ElementsAre(0, 2, 8));
  EXPECT_THAT(tokenizer->encode("cabc", plain), ElementsAre(5, 3, 5));
  EXPECT_THAT(tokenizer->encode("acab", plain), ElementsAre(0, 5, 3));
}

TEST(TokenizerJson, ReadsMetaspaceWithoutPrefix) {
  json document =
      json::parse(R"({"pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": true},
    "model": {"type": "BPE", "unk_token": "<unk>", "vocab": {"<unk>": 0, "\u2581": 1, "a": 2, "\u2581a": 3}, "merges": ["\u2581 a"]}})");
  EXPECT_THAT(read(document)->encode("a a", plain), ElementsAre(2, 3));
  document["model"]["vocab"]["a\u2581"] = 4;
  EXPECT_THAT([&] { read(document); }, testing::ThrowsMessage<Error>(testing::HasSubstr("has one inside")));
}

TEST(TokenizerJson, PutsRobertasTokensAround) {
  json document = byte_level();
  document["post_processor"] = {{"type", "RobertaProcessing"}, {"cls", {"<s>", 6}}, {"sep", {"<m>", 7}}};
  EXPECT_THAT(read(document)->encode("a"), ElementsAre(6, 0, 7));
}

TEST(TokenizerJson, NamesTheFieldThatIsWrong) {
  const auto refused = [](auto change, const std::string& text) {
    json document = byte_level();
    change(document);
    EXPECT_THAT([&] { read(document); },
                testing::ThrowsMessage<Error>(testing::AllOf(testing::StartsWith("t.json: "), testing::HasSubstr(text))))
        << document.dump();
  };
  refused([](json& d) { d["model"]["vocab"]["c"] = -1; }, "model.vocab['c'] must be an id");
  refused([](json& d) { d["model"]["vocab"]["c"] = 4000000; }, "model.vocab['c'] is 4000000");
  refused([](json& d) { d["model"]["vocab"]["c"] = 0; }, "gives id 0 to");
  refused([](json& d) { d["model"]["vocab"] = 3; }, "model.vocab must be an object");
  refused([](json& d) { d["model"]["merges"] = 3; }, "model.merges must be an array");
  refused([](json& d) { d["model"]["merges"][0] = 3; }, "model.merges[0] must be a string");
  refused([](json& d) { d["model"]["merges"][0] = "a zz"; }, "'zz' is no token");
  refused([](json& d) { d["model"]["type"] = "Magic"; }, "model.type is 'Magic'");
  refused([](json& d) { d["added_tokens"][0]["id"] = "x"; }, "added_tokens[0].id must be an id");
  refused([](json& d) { d["added_tokens"][0].erase("content"); }, "added_tokens[0].content must be a string");
  refused([](json& d) { d["pre_tokenizer"]["type"] = "Magic"; }, "pre_tokenizer has the type 'Magic'");
  refused([](json& d) { d["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "\\w+"}}}, {"behavior", "Isolated"}}; },
          "splits by '\\w+'");
  refused(
      [](json& d) { d["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "\\p{N}"}}}, {"behavior", "Removed"}}; },
      "behavior 'Removed'");
  refused([](json& d) { d["pre_tokenizer"] = nullptr; }, "must write spaces as U+2581");
  refused([](json& d) { d["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "\u2581"}}; }, "Metaspace with a prefix");
  refused([](json& d) { d["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "b"}}; },
          "replaces something else");
  refused([](json& d) { d["normalizer"] = {{"type", "Prepend"}, {"prepend", "\u2581"}}; }, "not supported with ByteLevel");
  refused([](json& d) { d["post_processor"]["type"] = "Magic"; }, "post_processor has the type 'Magic'");
  refused(
      [](json& d) {
        d["post_processor"]["single"].push_back(d["post_processor"]["single"][0]),
            d["post_processor"]["single"].push_back(d["post_processor"]["single"][0]);
      },
      "more than one token on a side");
  refused([](json& d) { d["normalizer"] = {{"type", "Magic"}}; }, "normalizer has the type 'Magic'");
  refused([](json& d) { d["post_processor"]["single"][0]["SpecialToken"]["id"] = "<nope>"; }, "names '<nope>'");
  refused([](json& d) { d["model"]["unk_token"] = "<nope>"; }, "model.unk_token is '<nope>'");
}

TEST(TokenizerJson, RefusesEveryTruncation) {
  const std::string whole = byte_level().dump();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT([&] { tokenizer_from_json(std::string_view(whole).substr(0, size), "t.json"); },
                testing::ThrowsMessage<Error>(testing::HasSubstr("t.json is not JSON")))
        << size;
  }
}

TEST(TokenizerJson, RefusesWhatIsNoJson) {
  EXPECT_THAT([] { tokenizer_from_json("{\"a\": ", "t.json"); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("t.json is not JSON")));
  EXPECT_THAT([] { tokenizer_from_json("[]", "t.json"); }, testing::Throws<Error>());
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_THAT([&] { tokenizer_from_json(deep, "t.json"); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("nested deeper than 64")));
}

}  // namespace
}  // namespace bitnet
