// Reads tokenizer metadata of GGUF files (key names: ggml/docs/gguf.md of llama.cpp), and puts together what either container
// says.
#include "inference/vocabulary.h"

#include <algorithm>
#include <array>

#include "common/error.h"
#include "inference/engine.h"
#include "inference/folder_vocabulary.h"

namespace bitnet {
namespace {

constexpr std::string_view prefix = "tokenizer.ggml.";

std::string key(std::string_view name) { return std::string(prefix) + std::string(name); }

std::optional<TokenId> read_id(const GgufFile& file, std::string_view name, std::size_t n_tokens) {
  const std::optional<std::uint64_t> id = file.find_unsigned(key(name));
  if (!id) return std::nullopt;
  // Converters write the largest value for "none".
  if (*id == 0xffffffffu) return std::nullopt;
  if (*id >= n_tokens)
    fail(ErrorKind::bad_model, "{}: {} is {}, the vocabulary has {} tokens", printable(file.path(), 512), key(name), *id,
         n_tokens);
  return static_cast<TokenId>(*id);
}

std::vector<std::string> copy_strings(const std::vector<std::string_view>& views) { return {views.begin(), views.end()}; }

std::vector<TokenKind> read_kinds(const GgufFile& file, std::size_t n_tokens) {
  std::vector<TokenKind> kinds;
  for (const std::int64_t kind : file.find_integers(key("token_type"))) {
    if (kind < 0 || kind > 6)
      fail(ErrorKind::bad_model, "{}: {}[{}] is {}, allowed are 1 to 6", printable(file.path(), 512), key("token_type"),
           kinds.size(), kind);
    kinds.push_back(kind == 0 ? TokenKind::normal : static_cast<TokenKind>(kind));
  }
  if (!kinds.empty() && kinds.size() != n_tokens) {
    fail(ErrorKind::bad_model, "{}: {} has {} entries for {} tokens", printable(file.path(), 512), key("token_type"),
         kinds.size(), n_tokens);
  }
  return kinds;
}

Vocabulary vocabulary_of(const GgufFile& file, std::string model) {
  Vocabulary v;
  v.model = std::move(model);
  v.pre = std::string(file.find_string(key("pre")).value_or(""));
  v.tokens = copy_strings(file.find_strings(key("tokens")));
  v.scores = file.find_floats(key("scores"));
  v.kinds = read_kinds(file, v.tokens.size());
  v.merges = copy_strings(file.find_strings(key("merges")));
  const std::size_t n = v.tokens.size();
  v.bos = read_id(file, "bos_token_id", n), v.eos = read_id(file, "eos_token_id", n), v.eot = read_id(file, "eot_token_id", n);
  v.unk = read_id(file, "unknown_token_id", n), v.sep = read_id(file, "seperator_token_id", n),
  v.pad = read_id(file, "padding_token_id", n);
  v.cls = read_id(file, "cls_token_id", n), v.mask = read_id(file, "mask_token_id", n);
  v.add_bos = file.find_bool(key("add_bos_token")), v.add_eos = file.find_bool(key("add_eos_token"));
  v.add_space_prefix = file.find_bool(key("add_space_prefix"));
  v.remove_extra_whitespaces = file.find_bool(key("remove_extra_whitespaces"));
  return v;
}

// EOS, EOT, and what published models end a turn with, where the file marks it as a control token: many files name only one of
// them.
std::vector<TokenId> end_ids(const Tokenizer& tokenizer, std::vector<TokenId> ids) {
  static constexpr std::array<std::string_view, 10> names = {"<|eot_id|>", "<|im_end|>",     "<|end_of_text|>", "<|endoftext|>",
                                                             "<|end|>",    "<end_of_turn>",  "<|eom_id|>",      "</s>",
                                                             "<eos>",      "<|end_of_turn|>"};
  const auto add = [&](const std::optional<TokenId>& id) {
    if (id && std::find(ids.begin(), ids.end(), *id) == ids.end()) ids.push_back(*id);
  };
  add(tokenizer.vocabulary().eos), add(tokenizer.vocabulary().eot);
  for (const std::string_view name : names) {
    const std::optional<TokenId> id = tokenizer.find(name);
    if (id && tokenizer.kind(*id) == TokenKind::control) add(id);
  }
  return ids;
}

// The 2B-4T GGUF file's own template is wrong; its architecture and end of turn tell that model from others.
bool has_bitnet_turns(const ModelConfig& config, const Tokenizer& tokenizer) {
  const std::string& architecture = config.architecture;
  return (architecture == "bitnet-b1.58" || architecture == "bitnet-25") && tokenizer.find("<|eot_id|>").has_value();
}

}  // namespace

std::optional<Vocabulary> vocabulary_from_gguf(const GgufFile& file) {
  const std::optional<std::string_view> model = file.find_string(key("model"));
  if (!model || *model == "none" || *model == "no_vocab") return std::nullopt;
  return vocabulary_of(file, std::string(*model));
}

std::unique_ptr<const Tokenizer> tokenizer_from_gguf(const GgufFile& file) {
  std::optional<Vocabulary> vocabulary = vocabulary_from_gguf(file);
  return vocabulary ? make_tokenizer(std::move(*vocabulary)) : nullptr;
}

ModelVocabulary read_vocabulary(const Model& model) {
  const GgufFile* gguf = model.files().gguf();
  const HuggingFaceFolder* folder = model.files().folder();
  const std::int64_t n_vocab = model.config().n_vocab;
  ModelVocabulary result;
  result.tokenizer = gguf != nullptr ? tokenizer_from_gguf(*gguf) : tokenizer_from_folder(*folder);
  if (!result.tokenizer) {
    result.problem = gguf != nullptr ? "the model file has no tokenizer"
                                     : "the model's folder has neither tokenizer.json nor tokenizer.model";
    return result;
  }
  if (static_cast<std::int64_t>(result.tokenizer->size()) > n_vocab) {
    fail(ErrorKind::bad_model, "{}: the tokenizer has {} entries, the embedding has {} rows",
         printable(model.files().path(), 512), result.tokenizer->size(), n_vocab);
  }
  result.end_ids = end_ids(*result.tokenizer, folder != nullptr ? end_ids_of(*folder, n_vocab) : std::vector<TokenId>());
  std::optional<std::string> source;
  if (folder != nullptr) source = chat_template_of(*folder);
  if (gguf != nullptr) source = gguf->find_string("tokenizer.chat_template");
  if (has_bitnet_turns(model.config(), *result.tokenizer) && (gguf != nullptr || !source)) source = bitnet_2b_template();
  if (source) result.chat_template = std::make_unique<ChatTemplate>(*source);
  return result;
}

}  // namespace bitnet
