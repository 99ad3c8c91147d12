// `bitnet inspect`: what a model file holds, without loading its weights.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/inspect_text.h"
#include "cli/inspect_weights.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "common/checked.h"
#include "common/error.h"
#include "inference/recommended_sampling.h"
#include "inference/vocabulary.h"
#include "models/gguf_reader.h"
#include "models/model.h"

namespace bitnet::cli {
namespace {

constexpr std::uint64_t array_head = 4;  // entries shown of an array

struct InspectOptions {
  std::string positional, model;
  bool json = false, hash = false, check = false;
};

// A float's shortest decimal form: 1e-05, not 9.999999747378752e-06.
double shortest(float value) { return parse_number(fmt::format("{}", value)).value_or(value); }

template <class T>
T element(const GgufArray& array, std::uint64_t index) {
  Cursor in(array.bytes.subspan(index * sizeof(T), sizeof(T)), "array");
  return in.number<T>("element");
}

Json array_element(const GgufArray& array, std::uint64_t i) {
  switch (array.type) {
    case GgufType::u8:
      return element<std::uint8_t>(array, i);
    case GgufType::i8:
      return element<std::int8_t>(array, i);
    case GgufType::u16:
      return element<std::uint16_t>(array, i);
    case GgufType::i16:
      return element<std::int16_t>(array, i);
    case GgufType::u32:
      return element<std::uint32_t>(array, i);
    case GgufType::i32:
      return element<std::int32_t>(array, i);
    case GgufType::u64:
      return element<std::uint64_t>(array, i);
    case GgufType::i64:
      return element<std::int64_t>(array, i);
    case GgufType::f32:
      return shortest(element<float>(array, i));
    case GgufType::f64:
      return element<double>(array, i);
    case GgufType::boolean:
      return element<std::uint8_t>(array, i) != 0;
    case GgufType::string:
      return array.strings[i];
    case GgufType::array:
      break;
  }
  return nullptr;
}

Json value_json(const GgufValue& value) {
  if (const auto* array = std::get_if<GgufArray>(&value.value)) {
    Json first = Json::array();
    for (std::uint64_t i = 0; i < std::min(array->count, array_head); ++i) first.push_back(array_element(*array, i));
    return {{"array_of", name_of(array->type)}, {"count", array->count}, {"first", std::move(first)}};
  }
  if (value.type == GgufType::f32) return shortest(static_cast<float>(std::get<double>(value.value)));
  return std::visit(
      [](const auto& plain) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(plain)>, GgufArray>)
          return nullptr;
        else
          return plain;
      },
      value.value);
}

Json metadata_json(const GgufFile& file) {
  // The reader has refused repeated keys; looking for each before appending it would take quadratic time.
  Json::object_t metadata;
  for (const GgufEntry& entry : file.entries()) metadata.emplace_back(std::string(entry.key), value_json(entry.value));
  return metadata;
}

Json tensors_json(const ModelFiles& files) {
  Json tensors = Json::array();
  for (const StoredTensor& tensor : files.tensors()) {
    tensors.push_back({{"name", tensor.name},
                       {"type", tensor.type},
                       {"shape", tensor.shape.dims},
                       {"bytes", tensor.bytes.size()},
                       {"offset", tensor.offset}});
    if (files.file_count() > 1) tensors.back()["file"] = tensor.file;
  }
  return tensors;
}

Json config_json(const ModelConfig& c) {
  return {{"n_layer", c.n_layer},
          {"n_embd", c.n_embd},
          {"n_ff", c.n_ff},
          {"n_head", c.n_head},
          {"n_head_kv", c.n_head_kv},
          {"head_dim", c.head_dim},
          {"n_vocab", c.n_vocab},
          {"n_ctx", c.n_ctx},
          {"rms_eps", shortest(c.rms_eps)},
          {"rope_theta", shortest(c.rope_theta)},
          {"rope_dim", c.rope_dim},
          {"rope_linear_factor", shortest(c.rope_linear_factor)},
          {"rope_kind", c.rope_kind == RopeKind::neox ? "neox" : "norm"},
          {"activation", name_of(c.activation)},
          {"sub_norms", c.sub_norms},
          {"qk_norms", c.qk_norms},
          {"post_norms", c.post_norms},
          {"input_norms", c.input_norms},
          {"window", c.window},
          {"windowed_layers", std::count(c.windowed.begin(), c.windowed.end(), true)},
          {"pooling", name_of(c.pooling)}};
}

// Parameters and bytes of all weights; ternary ones take two bits once loaded.
struct Sizes {
  std::uint64_t parameters = 0, bytes = 0, loaded_bytes = 0;
};

Sizes sizes_of(const Model& model) {
  Sizes sizes;
  for (const WeightTensor* weight : model.weights()) {
    const auto elements = static_cast<std::uint64_t>(weight->view.shape.elements());
    const bool is_ternary = info(weight->view.type).ternary || weight->absmean;
    sizes.parameters += elements;
    sizes.bytes += weight->view.bytes.size();
    sizes.loaded_bytes += is_ternary ? elements / 4 : weight->view.bytes.size();
  }
  return sizes;
}

Json kv_json(const ModelConfig& c) {
  const auto bytes = [&](KvType type) { return KvShape{type, c.n_layer, c.n_head_kv, c.head_dim}.bytes_per_position(); };
  return {{"f32", bytes(KvType::f32)}, {"f16", bytes(KvType::f16)}, {"int8", bytes(KvType::int8)}};
}

Json memory_json(const ModelConfig& c, const Sizes& sizes) {
  const std::uint64_t kv = KvShape{KvType::f16, c.n_layer, c.n_head_kv, c.head_dim}.bytes_per_position();
  const std::uint64_t cache = checked_mul(kv, static_cast<std::uint64_t>(c.n_ctx)).value_or(UINT64_MAX / 2);
  return {{"weights", sizes.loaded_bytes},
          {"kv_cache_f16_full_context", cache},
          {"total_full_context", sizes.loaded_bytes + cache}};
}

Json tokenizer_json(const Tokenizer* tokenizer) {
  if (tokenizer == nullptr) return nullptr;
  const Vocabulary& v = tokenizer->vocabulary();
  Json special = Json::object();
  const std::pair<const char*, std::optional<TokenId>> ids[] = {{"bos", v.bos}, {"eos", v.eos},  {"eot", v.eot},
                                                                {"unk", v.unk}, {"sep", v.sep},  {"pad", v.pad},
                                                                {"cls", v.cls}, {"mask", v.mask}};
  for (const auto& [name, id] : ids) {
    if (id) special[name] = {{"id", *id}, {"text", tokenizer->token_text(*id)}};
  }
  return {{"model", v.model}, {"pre", v.pre}, {"size", tokenizer->size()}, {"special", std::move(special)}};
}

Json sampling_json(const SamplingParams& p) {
  return {{"temperature", p.temperature},
          {"top_k", p.top_k},
          {"top_p", p.top_p},
          {"min_p", p.min_p},
          {"repeat_penalty", p.repeat_penalty},
          {"repeat_last_n", p.repeat_last_n}};
}

Json file_json(const ModelFiles& files) {
  Json json = {{"path", files.path()}, {"bytes", files.bytes()}, {"format", files.gguf() != nullptr ? "GGUF" : "SafeTensors"}};
  if (const GgufFile* gguf = files.gguf()) {
    json["gguf_version"] = gguf->version(), json["alignment"] = gguf->alignment();
  }
  if (files.file_count() > 1) {
    json["files"] = Json::array();
    for (std::uint32_t i = 0; i < files.file_count(); ++i) json["files"].push_back(files.map(i).path());
  }
  return json;
}

// Of a GGUF file its entries, of a folder its config.json.
Json metadata_json(const ModelFiles& files) {
  return files.gguf() != nullptr ? metadata_json(*files.gguf()) : files.folder()->config();
}

// A GGUF file with a vocabulary and no tensors.
Json vocabulary_report(const ModelFiles& files) {
  const GgufFile& file = *files.gguf();
  const auto tokenizer = tokenizer_from_gguf(file);
  if (!tokenizer) fail(ErrorKind::bad_model, "{}: has neither tensors nor a tokenizer", printable(file.path(), 512));
  return {{"file", file_json(files)},
          {"architecture", file.find_string("general.architecture").value_or("")},
          {"name", file.find_string("general.name").value_or("")},
          {"parameters", 0},
          {"tokenizer", tokenizer_json(tokenizer.get())},
          {"chat_template", file.find_string("tokenizer.chat_template").has_value()},
          {"metadata", metadata_json(file)},
          {"tensors", Json::array()}};
}

// A .safetensors file without a config beside it: no more than its table can be told.
Json table_report(const SafetensorsFile& file) {
  std::uint64_t elements = 0, bytes = 0;
  Json tensors = Json::array();
  for (const SafetensorsTensor& tensor : file.tensors()) {
    elements += static_cast<std::uint64_t>(tensor.shape.elements()), bytes += tensor.bytes.size();
    tensors.push_back({{"name", tensor.name},
                       {"type", tensor.dtype},
                       {"shape", tensor.shape.dims},
                       {"bytes", tensor.bytes.size()},
                       {"offset", tensor.offset}});
  }
  Json::object_t metadata;
  for (const auto& [name, value] : file.metadata()) metadata.emplace_back(name, value);
  return {{"file", {{"path", file.path()}, {"bytes", file.size()}, {"format", "SafeTensors"}}},
          {"architecture", ""},
          {"name", ""},
          {"parameters", elements},
          {"memory", {{"weights", bytes}}},
          {"tokenizer", nullptr},
          {"chat_template", false},
          {"metadata", std::move(metadata)},
          {"tensors", std::move(tensors)}};
}

Json model_report(const Model& model) {
  const ModelConfig& c = model.config();
  const ModelVocabulary vocabulary = read_vocabulary(model);
  const Sizes sizes = sizes_of(model);
  const double bits =
      8.0 * static_cast<double>(sizes.bytes) / static_cast<double>(std::max<std::uint64_t>(sizes.parameters, 1));
  return {{"file", file_json(model.files())},
          {"architecture", c.architecture},
          {"name", c.name},
          {"parameters", sizes.parameters},
          {"bits_per_weight", bits},
          {"context", c.n_ctx},
          {"config", config_json(c)},
          {"kv_bytes_per_token", kv_json(c)},
          {"memory", memory_json(c, sizes)},
          {"tokenizer", tokenizer_json(vocabulary.tokenizer.get())},
          {"chat_template", vocabulary.chat_template != nullptr},
          {"sampling", sampling_json(recommended_sampling(model.files()))},
          {"metadata", metadata_json(model.files())},
          {"tensors", tensors_json(model.files())}};
}

Json report_of(const std::string& path) {
  const std::filesystem::path config = std::filesystem::path(path).parent_path() / "config.json";
  std::error_code error;
  const bool is_file = path.ends_with(".safetensors") && !std::filesystem::is_directory(path, error);
  if (is_file && !std::filesystem::exists(config, error)) return table_report(SafetensorsFile::open(path));
  ModelFiles files = ModelFiles::open(path);
  const bool is_vocabulary = files.gguf() != nullptr && files.tensors().empty();
  return is_vocabulary ? vocabulary_report(files) : model_report(Model::open(std::move(files)));
}

// Returns how many tensors look damaged.
std::size_t read_weights(Json& report, const std::string& path, const InspectOptions& o) {
  if (!o.hash && !o.check) return 0;
  const InterruptGuard guard;
  const ModelFiles files = ModelFiles::open(path);
  if (o.hash) add_hashes(report, files);
  return o.check ? add_check(report, files) : 0;
}

int inspect(const InspectOptions& o) {
  if (!o.positional.empty() && !o.model.empty()) fail(ErrorKind::usage, "give the model as an argument or with -m, not both");
  const std::string path = model_path(o.positional.empty() ? o.model : o.positional);
  Json report = report_of(path);
  const std::size_t damaged = read_weights(report, path, o);
  print(o.json ? json_text(report, 2, true) + "\n" : inspect_text(report));
  if (damaged == 0) return exit_ok;
  print_note(fmt::format("{}: {} of {} tensors look damaged", printable(path, 512), damaged, report["tensors"].size()));
  return exit_bad_model;
}

}  // namespace

CommandBody add_inspect(CLI::App& command) {
  const auto o = std::make_shared<InspectOptions>();
  command.footer("All of the file's tables are checked on the way, as when it is loaded.");
  command
      .add_option("model", o->positional,
                  "GGUF file, one with a vocabulary alone will do, folder with config.json, or .safetensors file; the default "
                  "model when\n"
                  "not given")
      ->type_name("");
  command.add_option("-m,--model", o->model, "the file, as a flag")->type_name("FILE");
  command.add_flag("--hash", o->hash, "the sha256 of every tensor and file, too");
  command.add_flag(
      "--check", o->check,
      "read all weights and name those that no trained model has: NaN, infinite, all zero, absurd scales, magnitudes "
      "or shares of zeros; ends with 4 when there are any");
  add_progress_flag(command);
  command.add_flag("--json", o->json, "one JSON object in place of readable text");
  return [o] { return inspect(*o); };
}

}  // namespace bitnet::cli
