// Groups the parts of split files, ranks GGUF files by their type, knows the files of a HuggingFace model folder.
#include "models/hub/file_choice.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>
#include <string_view>

#include "common/error.h"

namespace bitnet::hub {
namespace {

constexpr int max_parts = 1000;
constexpr std::size_t max_listed = 16;

// From the most to the least wanted: what needs no conversion first, then by how widely it is read.
constexpr std::array<std::string_view, 12> ternary_types = {"i2_s", "tq2_0", "tq1_0",     "q2_0",   "pq2_0",  "ptq1_0",
                                                            "tl1",  "tl2",   "iq2_bn_r4", "iq2_bn", "iq1_bn", "i2_s_128"};

constexpr std::array<std::string_view, 15> folder_files = {"config.json",
                                                           "generation_config.json",
                                                           "tokenizer.json",
                                                           "tokenizer_config.json",
                                                           "tokenizer.model",
                                                           "vocab.json",
                                                           "merges.txt",
                                                           "vocab.txt",
                                                           "added_tokens.json",
                                                           "special_tokens_map.json",
                                                           "chat_template.jinja",
                                                           "chat_template.json",
                                                           "modules.json",
                                                           "1_Pooling/config.json",
                                                           "model.safetensors.index.json"};

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// "x-00002-of-00003.gguf" taken apart.
struct Part {
  std::string stem, extension;
  int number, count;
};

std::optional<Part> parse_part(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  constexpr std::size_t tail = 15;  // -00002-of-00003
  if (dot == std::string::npos || dot < tail + 1) return std::nullopt;
  const std::string_view text = std::string_view(name).substr(dot - tail, tail);
  const auto digits = [&](std::size_t at) {
    int value = 0;
    for (const char c : text.substr(at, 5)) value = c >= '0' && c <= '9' && value >= 0 ? value * 10 + (c - '0') : -1;
    return value;
  };
  const Part part{name.substr(0, dot - tail), name.substr(dot), digits(1), digits(10)};
  const bool fits =
      text[0] == '-' && text.substr(6, 4) == "-of-" && (part.extension == ".gguf" || part.extension == ".safetensors");
  if (!fits || part.number < 1 || part.count < part.number || part.count > max_parts) return std::nullopt;
  return part;
}

std::string part_name(const Part& part, int number) {
  return fmt::format("{}-{:05d}-of-{:05d}{}", part.stem, number, part.count, part.extension);
}

std::string first_part(const std::string& name) {
  const auto part = parse_part(name);
  return part ? part_name(*part, 1) : name;
}

// True when the lower-case `word` stands in `name` with no letter or digit before it, and no letter, digit or underscore
// behind.
bool names_type(std::string_view name, std::string_view word) {
  const auto is_letter = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  for (std::size_t at = name.find(word); at != std::string_view::npos; at = name.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_letter(name[at - 1])) && (end == name.size() || (!is_letter(name[end]) && name[end] != '_')))
      return true;
  }
  return false;
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), max_listed); ++i) text += (i == 0 ? "" : ", ") + printable(names[i], 128);
  if (names.size() > max_listed) text += fmt::format(" and {} more", names.size() - max_listed);
  return text;
}

FileChoice with_parts(const std::vector<std::string>& names, const std::string& main, const std::string& where) {
  FileChoice choice{parts_of(main), first_part(main)};
  for (const std::string& part : choice.files) {
    if (std::ranges::find(names, part) == names.end()) {
      fail(ErrorKind::not_found, "{}: '{}' is missing, one of {} parts", where, printable(part, 128), choice.files.size());
    }
  }
  return choice;
}

// GGUF files that hold a model, split ones by their first part.
std::vector<std::string> gguf_models(const std::vector<std::string>& names) {
  std::vector<std::string> models;
  for (const std::string& name : names) {
    const std::string small = lower(name);
    const bool other = small.find("mmproj") != std::string::npos || small.find("imatrix") != std::string::npos;
    if (small.ends_with(".gguf") && !other) models.push_back(first_part(name));
  }
  std::ranges::sort(models);
  models.erase(std::ranges::unique(models).begin(), models.end());
  return models;
}

// The only one of the best type, or of all when none names a type; nullopt when that leaves several.
std::optional<std::string> best_gguf(const std::vector<std::string>& models) {
  if (models.size() == 1) return models.front();
  for (const std::string_view type : ternary_types) {
    std::vector<std::string> of_type;
    std::ranges::copy_if(models, std::back_inserter(of_type), [&](const std::string& m) { return names_type(lower(m), type); });
    if (of_type.size() == 1) return of_type.front();
    if (of_type.size() > 1) return std::nullopt;
  }
  return std::nullopt;
}

FileChoice model_folder(const std::vector<std::string>& names, const std::string& where) {
  const auto has = [&](std::string_view name) { return std::ranges::find(names, name) != names.end(); };
  FileChoice choice;
  for (const std::string& name : names) {
    const auto part = parse_part(name);
    if (name == "model.safetensors" || (part && part->stem == "model")) choice.files = with_parts(names, name, where).files;
    if (!choice.files.empty()) break;
  }
  if (choice.files.empty() || !has("config.json")) {
    fail(ErrorKind::not_found, "{}: holds neither a GGUF file nor a model folder with config.json and model.safetensors",
         where);
  }
  for (const std::string_view name : folder_files) {
    if (has(name)) choice.files.emplace_back(name);
  }
  std::ranges::sort(choice.files);
  return choice;
}

FileChoice wanted_files(const std::vector<std::string>& names, const std::string& wanted, const std::string& where) {
  if (std::ranges::find(names, wanted) != names.end()) return with_parts(names, wanted, where);
  std::vector<std::string> fitting;
  for (const std::string& model : gguf_models(names)) {
    if (names_type(lower(model), lower(wanted))) fitting.push_back(model);
  }
  if (fitting.size() == 1) return with_parts(names, fitting.front(), where);
  if (fitting.empty()) {
    fail(ErrorKind::not_found, "{}: has no file '{}'; there are: {}", where, printable(wanted, 128), listed(names));
  }
  fail(ErrorKind::usage, "{}: '{}' fits several files, name one with {}:FILE: {}", where, printable(wanted, 128), where,
       listed(fitting));
}

}  // namespace

std::vector<std::string> parts_of(const std::string& name) {
  const auto part = parse_part(name);
  if (!part) return {name};
  std::vector<std::string> names;
  for (int number = 1; number <= part->count; ++number) names.push_back(part_name(*part, number));
  return names;
}

bool is_file_name(const std::string& wanted) { return wanted.find('.', wanted.rfind('/') + 1) != std::string::npos; }

FileChoice choose_files(const std::vector<std::string>& names, const std::string& wanted, const std::string& where) {
  if (!wanted.empty()) return wanted_files(names, wanted, where);
  const std::vector<std::string> models = gguf_models(names);
  if (models.empty()) return model_folder(names, where);
  if (const auto best = best_gguf(models)) return with_parts(names, *best, where);
  fail(ErrorKind::usage, "{}: has several models, name one with {}:FILE: {}", where, where, listed(models));
}

}  // namespace bitnet::hub
