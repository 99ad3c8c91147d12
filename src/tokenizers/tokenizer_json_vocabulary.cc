// Finds the name under which GGUF files know a tokenizer.json's rules, and copies its merges.
#include "tokenizers/tokenizer_json_vocabulary.h"

#include "common/error.h"
#include "tokenizers/tokenizer_json_parts.h"

namespace bitnet {
namespace {

using namespace tokenizer_json;

[[noreturn]] void refuse(const std::string& file, const std::string& fact) {
  fail(ErrorKind::unsupported, "{}: {}", file, fact);
}

std::vector<std::string> merges_of(const json& model) {
  std::vector<std::string> merges;
  for (const json& merge : member(model, "merges")) {
    merges.push_back(merge.is_array() ? merge[0].get<std::string>() + " " + merge[1].get<std::string>()
                                      : merge.get<std::string>());
  }
  return merges;
}

// GGUF has no words for what a special token does to the text around it.
void check_added(const json& root, const std::string& file) {
  for (const json& token : member(root, "added_tokens")) {
    for (const char* name : {"lstrip", "rstrip", "single_word"}) {
      if (!flag(token, name, false)) continue;
      refuse(file, fmt::format("added_tokens: '{}' has {}, which GGUF metadata cannot say",
                               printable(text(token, "content", "added_tokens")), name));
    }
  }
}

}  // namespace

Vocabulary vocabulary_from_json(std::string_view text_of_file, const std::string& name, Vocabulary read) {
  const std::string file = printable(name, 512);
  const json root = json::parse(text_of_file, nullptr, false);
  const json& model = member(root, "model");
  const PreTokenization pre = root.is_object() ? read_pre_tokenizer(root) : PreTokenization{};
  if (!pre.byte_level) refuse(file, "is no byte-level BPE, which is all that is written to GGUF files");
  if (pre.add_prefix_space) refuse(file, "pre_tokenizer: has add_prefix_space, which GGUF metadata cannot say");
  check_added(root, file);
  const PreTokenizerFamily family{pre.rules, read_normalizer(root).nfc, flag(model, "ignore_merges", false)};
  const std::optional<std::string_view> known = pre_tokenizer_name(family);
  if (!known) refuse(file, "pre_tokenizer: no tokenizer.ggml.pre stands for its rules, normalizer and ignore_merges together");
  read.model = "gpt2", read.pre = std::string(*known), read.merges = merges_of(model);
  return read;
}

}  // namespace bitnet
