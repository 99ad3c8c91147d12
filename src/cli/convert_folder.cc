// Writes config, weights and tokenizer of a model as transformers reads them.
#include "cli/convert_folder.h"

#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "common/cpu_set.h"
#include "common/error.h"
#include "common/output_folder.h"
#include "inference/recommended_sampling.h"
#include "inference/vocabulary.h"
#include "models/huggingface_writer.h"
#include "tokenizers/tokenizer_json_writer.h"

namespace bitnet::cli {
namespace {

constexpr std::uint64_t default_shard_bytes = 5'000'000'000;

// A small file of the folder.
struct TextFile {
  std::string name, text;
};

Json special_ids(const Vocabulary& v) {
  Json ids = Json::object();
  if (v.bos) ids["bos_token_id"] = *v.bos;
  if (v.eos) ids["eos_token_id"] = *v.eos;
  if (v.pad) ids["pad_token_id"] = *v.pad;
  return ids;
}

Json tokenizer_config(const Vocabulary& v, const ModelConfig& config, std::optional<std::string_view> chat_template) {
  Json json = {{"tokenizer_class", "PreTrainedTokenizerFast"},
               {"model_max_length", config.n_ctx},
               {"clean_up_tokenization_spaces", false}};
  const std::pair<const char*, std::optional<TokenId>> tokens[] = {
      {"bos_token", v.bos}, {"eos_token", v.eos}, {"pad_token", v.pad}, {"unk_token", v.unk}};
  for (const auto& [name, id] : tokens) {
    if (id) json[name] = v.tokens[static_cast<std::size_t>(*id)];
  }
  if (chat_template) json["chat_template"] = *chat_template;
  return json;
}

// Of a GGUF file: made of its metadata.
std::vector<TextFile> tokenizer_files(const SourceModel& source, HuggingFacePlan& plan) {
  const GgufFile& file = *source.model.files().gguf();
  const std::optional<Vocabulary> vocabulary = vocabulary_from_gguf(file);
  if (!vocabulary) return {};
  std::vector<TextFile> files;
  try {
    files.push_back({"tokenizer.json", tokenizer_to_json(*vocabulary)});
  } catch (const Error& e) {
    throw Error(e.kind(), std::string(e.what()) + "; --no-tokenizer leaves it out");
  }
  const Json config = tokenizer_config(*vocabulary, source.config(), file.find_string("tokenizer.chat_template"));
  files.push_back({"tokenizer_config.json", json_text(config, 2)});
  const Json ids = special_ids(*vocabulary);
  plan.config.update(ids);
  Json generation = ids;
  generation.update(recommended_generation_config(file));
  files.push_back({"generation_config.json", json_text(generation, 2)});
  return files;
}

// Of a folder: as they are.
std::vector<TextFile> copied_files(const HuggingFaceFolder& folder, HuggingFacePlan& plan) {
  std::vector<TextFile> files;
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
                           "chat_template.jinja", "generation_config.json"}) {
    const std::optional<MappedFile> file = folder.find_file(name);
    if (file) files.push_back({name, {reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()}});
  }
  for (const char* name : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (folder.config().contains(name)) plan.config[name] = folder.config()[name];
  }
  return files;
}

std::vector<TextFile> text_files(const ConvertOptions& o, const SourceModel& source, HuggingFacePlan& plan) {
  std::vector<TextFile> files;
  if (!o.no_tokenizer) {
    files = source.is_folder() ? copied_files(*source.model.files().folder(), plan) : tokenizer_files(source, plan);
  }
  if (plan.index) files.push_back({"model.safetensors.index.json", json_text(*plan.index, 2) + "\n"});
  files.push_back({"config.json", json_text(plan.config, 2) + "\n"});
  return files;
}

void write_text(const std::string& path, const std::string& text) {
  OutputFile file(path);
  file.write(text);
  file.commit();
}

void write_weights(const HuggingFacePlan& plan, TensorFiles& files, ThreadPool& pool) {
  ProgressBar progress("converting", "bytes");
  std::uint64_t done = 0;
  carry_out(plan, files, pool, [&](std::uint64_t bytes) {
    stop_if_interrupted();
    progress.update(done += bytes, files.bytes());
  });
}

void report(const ConvertOptions& o, const SourceModel& source, const HuggingFacePlan& plan, const std::vector<TextFile>& texts,
            const TensorFiles& files) {
  Json names = Json::array();
  std::string list;
  for (const HuggingFacePlan::File& file : plan.files) names.push_back(file.name);
  for (const TextFile& text : texts) names.push_back(text.name);
  for (const Json& name : names) list += (list.empty() ? "" : ", ") + name.get<std::string>();
  if (o.output.json) {
    const Json json = {{"folder", o.out}, {"files", names}, {"bytes", files.bytes()}, {"source_bytes", source.bytes()}};
    return print(json_text(json, 2, true) + "\n");
  }
  print(fmt::format("{}: {}\nsize {} -> {}\n", printable(o.out, 512), list, byte_text(static_cast<double>(source.bytes())),
                    byte_text(static_cast<double>(files.bytes()))));
}

}  // namespace

int convert_to_folder(const ConvertOptions& o) {
  if (!o.embedding.empty()) fail(ErrorKind::usage, "--embedding: a folder keeps the embedding as it is");
  if (o.llama_cpp) fail(ErrorKind::usage, "--llama-cpp: llama.cpp reads no folders");
  if (o.out.ends_with(".gguf")) fail(ErrorKind::usage, "{}: --type hf writes a folder", printable(o.out, 512));
  const SourceModel source = open_source(o.source);
  refuse_own_input(o.out, source.model.files());
  ThreadPool pool(thread_count(o.threads));
  const std::uint64_t shard = o.split_size.empty() ? default_shard_bytes : parse_size(o.split_size, "--split-size");
  HuggingFacePlan plan = plan_huggingface(source, shard, pool);
  const std::vector<TextFile> texts = text_files(o, source, plan);
  OutputFolder folder(o.out, o.output.replace(), huggingface_file_names);
  std::vector<TensorFiles::File> layouts;
  for (const HuggingFacePlan::File& file : plan.files) {
    layouts.push_back({folder.file(file.name), safetensors_layout(file.tensors)});
  }
  TensorFiles files(std::move(layouts), Replace::no);
  write_weights(plan, files, pool);
  files.commit();
  for (const TextFile& text : texts) write_text(folder.file(text.name), text.text);
  folder.commit();
  report(o, source, plan, texts, files);
  return exit_ok;
}

}  // namespace bitnet::cli
