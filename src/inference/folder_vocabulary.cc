// Reads tokenizer_config.json, special_tokens_map.json, generation_config.json and the tokenizer's own file of a folder.
#include "inference/folder_vocabulary.h"

#include <algorithm>
#include <limits>

#include "common/error.h"

namespace bitnet {
namespace {

constexpr std::size_t max_tokenizer_bytes = 256u << 20;

const Json* member(const Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

// A special token is a string, or an object whose "content" it is.
std::optional<std::string> token_text(const Json& object, std::string_view name, const std::string& file) {
  const Json* value = member(object, name);
  if (value != nullptr && value->is_object()) value = member(*value, "content");
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    fail(ErrorKind::bad_model, "{}: {} must be a string, or an object with a string \"content\"", printable(file, 512), name);
  }
  return value->get<std::string>();
}

std::optional<bool> flag(const Json& object, std::string_view name) {
  const Json* value = member(object, name);
  return value != nullptr && value->is_boolean() ? std::optional(value->get<bool>()) : std::nullopt;
}

// Tokens beside a SentencePiece model's own, by id: { "32000": {"content": "<pad>", "special": true}, ... }.
std::vector<SpecialTokenSettings::Added> added_tokens(const Json& config, const std::string& file) {
  std::vector<SpecialTokenSettings::Added> added;
  const Json* decoder = member(config, "added_tokens_decoder");
  if (decoder == nullptr || !decoder->is_object()) return added;
  for (const auto& [key, token] : decoder->items()) {
    const bool is_id =
        !key.empty() && key.size() <= 7 && std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
    const auto content = token_text({{"token", token}}, "token", file);
    if (!is_id || !content || content->empty()) {
      fail(ErrorKind::bad_model, "{}: added_tokens_decoder['{}'] is no token with an id", printable(file, 512), printable(key));
    }
    added.push_back({static_cast<TokenId>(std::stol(key)), *content, flag(token, "special").value_or(false)});
  }
  std::sort(added.begin(), added.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return added;
}

SpecialTokenSettings read_settings(const HuggingFaceFolder& folder) {
  constexpr const char* config_name = "tokenizer_config.json";
  constexpr const char* map_name = "special_tokens_map.json";
  const Json config = folder.find_json(config_name).value_or(Json::object());
  const Json map = folder.find_json(map_name).value_or(Json::object());
  const auto text = [&](const char* name) {
    auto found = token_text(config, name, folder.path_of(config_name));
    return found ? found : token_text(map, name, folder.path_of(map_name));
  };
  return {.bos = text("bos_token"),
          .eos = text("eos_token"),
          .add_bos = flag(config, "add_bos_token"),
          .add_eos = flag(config, "add_eos_token"),
          .added = added_tokens(config, folder.path_of(config_name))};
}

}  // namespace

std::unique_ptr<const Tokenizer> tokenizer_from_folder(const HuggingFaceFolder& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    const std::optional<MappedFile> file = folder.find_file(name);
    if (!file) continue;
    const std::span<const std::byte> bytes = file->bytes();
    if (bytes.size() > max_tokenizer_bytes) {
      fail(ErrorKind::too_big, "{}: has {} bytes, a tokenizer file may have {}", printable(file->path(), 512), bytes.size(),
           max_tokenizer_bytes);
    }
    SpecialTokenSettings settings = read_settings(folder);
    if (std::string_view(name) == "tokenizer.json") {
      return tokenizer_from_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file->path(), settings);
    }
    // A SentencePiece model says nothing of it, and transformers' classes for such models add BOS unless told otherwise.
    if (!settings.add_bos) settings.add_bos = true;
    return tokenizer_from_sentencepiece(bytes, file->path(), settings);
  }
  return nullptr;
}

std::optional<std::string> chat_template_of(const HuggingFaceFolder& folder) {
  if (const std::optional<MappedFile> file = folder.find_file("chat_template.jinja")) {
    const std::span<const std::byte> bytes = file->bytes();
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  const Json config = folder.find_json("tokenizer_config.json").value_or(Json::object());
  const Json* value = member(config, "chat_template");
  if (value != nullptr && value->is_string()) return value->get<std::string>();
  if (value == nullptr || !value->is_array()) return std::nullopt;
  for (const Json& entry : *value) {
    const Json *name = member(entry, "name"), *source = member(entry, "template");
    if (name != nullptr && *name == "default" && source != nullptr && source->is_string()) return source->get<std::string>();
  }
  return std::nullopt;
}

std::vector<TokenId> end_ids_of(const HuggingFaceFolder& folder, std::int64_t n_vocab) {
  std::vector<TokenId> ids;
  const auto add = [&](const Json& object, const char* file) {
    const Json* value = member(object, "eos_token_id");
    if (value == nullptr) return;
    for (const Json& id : value->is_array() ? *value : Json::array({*value})) {
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= static_cast<std::uint64_t>(n_vocab)) {
        fail(ErrorKind::bad_model, "{}: eos_token_id must be an id, or several, from 0 to {}",
             printable(folder.path_of(file), 512), n_vocab - 1);
      }
      ids.push_back(id.get<TokenId>());
    }
  };
  add(folder.find_json("generation_config.json").value_or(Json::object()), "generation_config.json");
  add(folder.config(), "config.json");
  return ids;
}

}  // namespace bitnet
