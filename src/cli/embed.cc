// `bitnet embed`: texts in, one vector each out.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <fstream>
#include <iostream>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/npy.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "common/error.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t max_line_bytes = 64u << 20;

struct EmbedCommand {
  ModelOptions model;
  std::vector<std::string> texts;
  std::string file, ids, npy, pooling = "auto";
  bool no_normalise = false;
};

// A line of a .jsonl file: a JSON string, or an object whose "text" is one.
std::string text_of(const std::string& line) {
  const Json value = Json::parse(line, nullptr, false);
  const Json* text = &value;
  if (value.is_object()) {
    if (!value.contains("text")) fail(ErrorKind::usage, "the object has no \"text\"");
    text = &value["text"];
  }
  if (!text->is_string()) fail(ErrorKind::usage, "not a JSON string, nor an object with a string as \"text\"");
  return text->get<std::string>();
}

// One text a line; a name that ends in .jsonl says how lines are written.
std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) fail(ErrorKind::not_found, "{}: cannot open", printable(path, 512));
  }
  std::istream& in = path == "-" ? std::cin : file;
  std::vector<std::string> texts;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.size() > max_line_bytes) {
      fail(ErrorKind::too_big, "{}: line {} has {} bytes, at most {} are allowed", printable(path, 512), texts.size() + 1,
           line.size(), max_line_bytes);
    }
    try {
      texts.push_back(path.ends_with(".jsonl") ? text_of(line) : line);
    } catch (const Error& error) {
      fail(error.kind(), "{}: line {}: {}", printable(path, 512), texts.size() + 1, error.what());
    }
  }
  if (in.bad()) fail(ErrorKind::io, "{}: cannot read", printable(path, 512));
  if (texts.empty()) fail(ErrorKind::usage, "{}: holds no lines", printable(path, 512));
  return texts;
}

std::vector<std::vector<TokenId>> ids_of(const EmbedCommand& o, const Engine& engine) {
  if (!o.ids.empty()) return {parse_ids(o.ids, "--ids")};
  if (engine.tokenizer() == nullptr) fail(ErrorKind::usage, "{}: give the tokens with --ids", engine.tokenizer_problem());
  std::vector<std::vector<TokenId>> all;
  for (const std::string& text : o.file.empty() ? o.texts : lines_of(o.file)) {
    all.push_back(engine.tokenizer()->encode(with_valid_utf8(text)));
    stop_if_interrupted();
  }
  return all;
}

// Each number in its shortest form that reads back as the same float.
std::string json_line(std::size_t index, std::size_t tokens, std::span<const float> vector) {
  std::string numbers;
  for (const float x : vector) numbers += (numbers.empty() ? "" : ",") + (std::isfinite(x) ? fmt::format("{}", x) : "null");
  return fmt::format("{{\"index\":{},\"tokens\":{},\"embedding\":[{}]}}\n", index, tokens, numbers);
}

Pooling pooling_of(const std::string& name) {
  for (const Pooling pooling : {Pooling::mean, Pooling::cls, Pooling::last}) {
    if (name == name_of(pooling)) return pooling;
  }
  return Pooling::none;
}

int embed(EmbedCommand& o) {
  if (!o.texts.empty() + !o.file.empty() + !o.ids.empty() != 1) {
    fail(ErrorKind::usage, "give texts as arguments, a file of lines with -f, or the tokens of one text with --ids");
  }
  const InterruptGuard guard;
  o.model.engine.generates = false;
  const std::unique_ptr<Engine> engine = open_engine(o.model);
  const std::vector<std::vector<TokenId>> texts = ids_of(o, *engine);
  std::unique_ptr<NpyFile> npy;
  if (!o.npy.empty()) npy = std::make_unique<NpyFile>(o.npy, static_cast<std::int64_t>(texts.size()), engine->config().n_embd);
  ProgressBar progress("computing", "texts");
  const bool shows_progress = npy != nullptr || !is_terminal(STDOUT_FILENO);
  const EmbedOptions options{.pooling = pooling_of(o.pooling), .normalise = !o.no_normalise, .cancel = &interrupted()};
  engine->embed(texts, options, [&](std::size_t index, std::span<const float> vector) {
    if (shows_progress) progress.update(index + 1, texts.size());
    if (npy) return npy->append(vector);
    print(json_line(index, texts[index].size(), vector));
  });
  stop_if_interrupted();
  if (npy) npy->commit();
  return exit_ok;
}

}  // namespace

CommandBody add_embed(CLI::App& command) {
  const auto o = std::make_shared<EmbedCommand>();
  command.footer(
      "A text's vector is made of the model's last hidden states, as the model file asks for: the last token's, the first\n"
      "one's (cls) or their mean; the last token's where it says nothing. Each text gives one line of JSON, with its index, "
      "its\n"
      "number of tokens and its vector. Texts are independent, however many are computed at once. Models that need an\n"
      "instruction before a query want it as part of the text.");
  command.add_option("text", o->texts, "the texts")->type_name("");
  command
      .add_option(
          "-f,--file", o->file,
          "a text a line; in a file named *.jsonl a JSON string a line, or an object with \"text\"; - is standard input")
      ->type_name("FILE");
  command.add_option("--ids", o->ids, "token ids of one text: 1,2,3")->type_name("IDS");
  command.add_option("--npy", o->npy, "write float32 of shape (texts, width) to a NumPy file in place of JSON")
      ->type_name("FILE");
  command.add_option("--pooling", o->pooling, "auto (as the file asks), last, mean or cls")
      ->type_name("NAME")
      ->check(CLI::IsMember({"auto", "last", "mean", "cls"}))
      ->capture_default_str();
  command.add_flag("--no-normalise", o->no_normalise, "leave vectors as long as they are, instead of length 1");
  add_model_flag(command, o->model);
  add_threads_flag(command, o->model);
  add_engine_flags(command, o->model);
  add_progress_flag(command);
  return [o] { return embed(*o); };
}

}  // namespace bitnet::cli
