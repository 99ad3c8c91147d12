// Lays the inspection report out in lines and columns.
#include "cli/inspect_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/error.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t shown_string = 72;

std::string row(std::string_view name, const std::string& value) { return fmt::format("{:<18}{}\n", name, value); }

std::string safe(const Json& string) { return printable(string.get_ref<const std::string&>(), shown_string); }

// 2412820480 -> "2.41 B".
std::string count_text(std::uint64_t count) {
  const auto value = static_cast<double>(count);
  if (value >= 1e9) return fmt::format("{:.2f} billion", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f} million", value / 1e6);
  return fmt::format("{}", count);
}

std::string scalar_text(const Json& value) { return value.is_string() ? fmt::format("\"{}\"", safe(value)) : json_text(value); }

// A GGUF array comes as its type, length and first entries; a folder's config holds any JSON.
std::string value_text(const Json& value) {
  if (!value.is_object() || !value.contains("array_of")) {
    return value.is_structured() ? printable(json_text(value), 4 * shown_string) : scalar_text(value);
  }
  std::string first;
  for (const Json& entry : value["first"]) first += (first.empty() ? "" : ", ") + scalar_text(entry);
  const bool more = value["count"].get<std::uint64_t>() > value["first"].size();
  return fmt::format("{} x {}: [{}{}]", value["count"].get<std::uint64_t>(), value["array_of"].get<std::string>(), first,
                     more ? ", ..." : "");
}

std::string format_text(const Json& file) {
  std::string text = file["format"].get<std::string>();
  if (file.contains("gguf_version")) text += fmt::format(" version {}", file["gguf_version"].get<std::uint32_t>());
  if (file.contains("files")) text += fmt::format(", {} files", file["files"].size());
  return text;
}

std::string config_text(const Json& report) {
  const Json& c = report["config"];
  const auto n = [&](const char* key) { return c[key].get<std::int64_t>(); };
  const Json& memory = report["memory"];
  std::string traits = c["activation"].get<std::string>();
  for (const auto& [key, name] : {std::pair{"sub_norms", "sub-norms"},
                                  {"qk_norms", "norms of queries and keys"},
                                  {"post_norms", "post-norms"},
                                  {"input_norms", "norms of each input"}}) {
    if (c[key].get<bool>()) traits += std::string(", ") + name;
  }
  const std::string window =
      n("window") == 0 ? "" : fmt::format(", window of {} in {} layers", n("window"), n("windowed_layers"));
  const std::string pooling = c["pooling"] == "none" ? "" : row("pooling", c["pooling"].get<std::string>());
  const auto bytes = [](const Json& value) { return byte_text(value.get<double>()); };
  return row("parameters", fmt::format("{}, {:.2f} bits each", count_text(report["parameters"].get<std::uint64_t>()),
                                       report["bits_per_weight"].get<double>())) +
         row("layers", fmt::format("{}, width {}, feed-forward {} ({})", n("n_layer"), n("n_embd"), n("n_ff"), traits)) +
         row("attention", fmt::format("{} heads of {}, {} of keys and values, rope {} over {}, theta {}{}", n("n_head"),
                                      n("head_dim"), n("n_head_kv"), c["rope_kind"].get<std::string>(), n("rope_dim"),
                                      c["rope_theta"].get<double>(), window)) +
         pooling + row("vocabulary", fmt::format("{}", n("n_vocab"))) +
         row("context", fmt::format("{} positions, {} each as f16 ({} as int8)", n("n_ctx"),
                                    bytes(report["kv_bytes_per_token"]["f16"]), bytes(report["kv_bytes_per_token"]["int8"]))) +
         row("memory", fmt::format("about {} of weights, {} with a full context", bytes(memory["weights"]),
                                   bytes(memory["total_full_context"])));
}

std::string tokenizer_text(const Json& tokenizer) {
  if (tokenizer.is_null()) return row("tokenizer", "none");
  std::string text =
      row("tokenizer",
          fmt::format("{}{}, {} tokens", safe(tokenizer["model"]),
                      tokenizer["pre"].get_ref<const std::string&>().empty() ? "" : " (" + safe(tokenizer["pre"]) + ")",
                      tokenizer["size"].get<std::uint64_t>()));
  std::string special;
  for (const auto& [name, token] : tokenizer["special"].items()) {
    special +=
        fmt::format("{}{} {} '{}'", special.empty() ? "" : ", ", name, token["id"].get<std::int64_t>(), safe(token["text"]));
  }
  return text + row("special tokens", special.empty() ? "none" : special);
}

std::string sampling_text(const Json& s) {
  return fmt::format(
      "temperature {:g}, top-k {}, top-p {:g}, min-p {:g}, repeat penalty {:g} over {}", s["temperature"].get<float>(),
      s["top_k"].get<int>(), s["top_p"].get<float>(), s["min_p"].get<float>(), s["repeat_penalty"].get<float>(),
      s["repeat_last_n"].get<int>() < 0 ? "everything" : fmt::format("{} tokens", s["repeat_last_n"].get<int>()));
}

std::string metadata_text(const Json& metadata) {
  std::string text = fmt::format("\n{} metadata entries\n", metadata.size());
  for (const auto& [key, value] : metadata.items()) text += fmt::format("  {} = {}\n", printable(key), value_text(value));
  return text;
}

std::string tensors_text(const Json& tensors) {
  if (tensors.empty()) return "\nno tensors\n";
  std::size_t width = 4;
  for (const Json& tensor : tensors) width = std::max(width, safe(tensor["name"]).size());
  const bool hashed = tensors.front().contains("sha256");
  std::string text = fmt::format("\n{} tensors\n  {:<{}}  {:<6} {:<22} {:>14} {:>14}{}\n", tensors.size(), "name", width,
                                 "type", "shape", "bytes", "offset", hashed ? "  sha256" : "");
  for (const Json& tensor : tensors) {
    std::string shape;
    for (const Json& dim : tensor["shape"]) shape += (shape.empty() ? "" : " x ") + json_text(dim);
    text += fmt::format("  {:<{}}  {:<6} {:<22} {:>14} {:>14}{}\n", safe(tensor["name"]), width,
                        tensor["type"].get<std::string>(), shape, tensor["bytes"].get<std::uint64_t>(),
                        tensor["offset"].get<std::uint64_t>(), hashed ? "  " + tensor["sha256"].get<std::string>() : "");
  }
  return text;
}

std::string hashes_text(const Json& files) {
  std::string text = "\n";
  for (const Json& file : files) {
    text += fmt::format("sha256 {}  {}\n", file["sha256"].get<std::string>(),
                        printable(file["path"].get_ref<const std::string&>(), 512));
  }
  return text;
}

std::string check_text(const Json& check) {
  std::string text =
      fmt::format("\nchecked {} tensors, {} look damaged\n", check["tensors"].get<std::uint64_t>(), check["damaged"].size());
  for (const Json& tensor : check["damaged"]) {
    for (const Json& problem : tensor["problems"]) {
      text += fmt::format("  {}: {}\n", safe(tensor["name"]), printable(problem.get_ref<const std::string&>(), 512));
    }
  }
  return text;
}

}  // namespace

std::string inspect_text(const Json& report) {
  const Json& file = report["file"];
  std::string text = row("file", fmt::format("{}, {}, {}", printable(file["path"].get_ref<const std::string&>(), 512),
                                             byte_text(file["bytes"].get<double>()), format_text(file)));
  if (const Json& name = report["name"]; !name.get_ref<const std::string&>().empty()) text += row("name", safe(name));
  if (const Json& architecture = report["architecture"]; architecture != "") text += row("architecture", safe(architecture));
  if (report.contains("config")) text += config_text(report);
  if (!report.contains("config") && report.contains("memory")) {
    text += row("parameters", fmt::format("{} elements, as the file counts them; no config.json says what they are",
                                          count_text(report["parameters"].get<std::uint64_t>())));
    text += row("memory", byte_text(report["memory"]["weights"].get<double>()) + " of tensors");
  }
  text += tokenizer_text(report["tokenizer"]);
  text += row("chat template", report["chat_template"].get<bool>() ? "yes" : "no");
  if (report.contains("sampling")) text += row("sampling", sampling_text(report["sampling"]));
  text += metadata_text(report["metadata"]) + tensors_text(report["tensors"]);
  if (report.contains("sha256")) text += hashes_text(report["sha256"]);
  if (report.contains("check")) text += check_text(report["check"]);
  return text;
}

}  // namespace bitnet::cli
