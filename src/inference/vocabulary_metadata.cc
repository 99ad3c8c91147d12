// Writes tokenizer keys.
#include "inference/vocabulary_metadata.h"

#include "inference/folder_vocabulary.h"
#include "tokenizers/tokenizer_json_vocabulary.h"

namespace bitnet {

void add_vocabulary(GgufMetadata& metadata, const Vocabulary& v) {
  const auto key = [](const char* name) { return std::string("tokenizer.ggml.") + name; };
  metadata.text(key("model"), v.model);
  if (!v.pre.empty()) metadata.text(key("pre"), v.pre);
  metadata.texts(key("tokens"), v.tokens);
  if (!v.scores.empty()) metadata.f32s(key("scores"), v.scores);
  std::vector<std::int32_t> kinds;
  for (const TokenKind kind : v.kinds) kinds.push_back(static_cast<std::int32_t>(kind));
  if (!kinds.empty()) metadata.i32s(key("token_type"), kinds);
  metadata.texts(key("merges"), v.merges);
  const std::pair<const char*, std::optional<TokenId>> ids[] = {
      {"bos_token_id", v.bos},       {"eos_token_id", v.eos},     {"eot_token_id", v.eot}, {"unknown_token_id", v.unk},
      {"seperator_token_id", v.sep}, {"padding_token_id", v.pad}, {"cls_token_id", v.cls}, {"mask_token_id", v.mask}};
  for (const auto& [name, id] : ids) {
    if (id) metadata.u32(key(name), static_cast<std::uint32_t>(*id));
  }
  if (v.add_bos) metadata.boolean(key("add_bos_token"), *v.add_bos);
  if (v.add_eos) metadata.boolean(key("add_eos_token"), *v.add_eos);
}

void add_vocabulary(GgufMetadata& metadata, const HuggingFaceFolder& folder) {
  const std::optional<MappedFile> file = folder.find_file("tokenizer.json");
  if (!file) return;
  const auto tokenizer = tokenizer_from_folder(folder);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  add_vocabulary(metadata, vocabulary_from_json(text, file->path(), tokenizer->vocabulary()));
  if (const auto source = chat_template_of(folder)) metadata.text("tokenizer.chat_template", *source);
}

}  // namespace bitnet
