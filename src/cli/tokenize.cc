// `bitnet tokenize` and `bitnet detokenize`: text to ids and back, one text or a file of lines.
#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <limits>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "cli/tokenizer_file.h"
#include "common/error.h"
#include "common/output_file.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t max_text_bytes = 256u << 20;

struct TokenizeOptions {
  std::string model, tokenizer, in, out;
  std::string format = "text";
  std::vector<std::string> arguments;  // text of tokenize, ids of detokenize
  bool no_special = false, no_parse_special = false, skip_special = false;
};

std::unique_ptr<const Tokenizer> tokenizer_of(const TokenizeOptions& o) {
  if (!o.model.empty() && !o.tokenizer.empty()) fail(ErrorKind::usage, "give -m or --tokenizer, not both");
  return open_tokenizer(o.tokenizer.empty() ? model_path(o.model) : o.tokenizer);
}

EncodeOptions encode_options(const TokenizeOptions& o) {
  return {.add_special = !o.no_special, .parse_special = !o.no_parse_special};
}

// Calls `convert` with each line's JSON value and writes what it returns as a line, in ASCII: many programs take U+2028 and the
// like for the end of a line. Errors of a line name it.
void convert_lines(const TokenizeOptions& o, const std::function<Json(const Json& line)>& convert) {
  const InterruptGuard guard;
  std::ifstream file;
  if (o.in != "-") {
    file.open(o.in, std::ios::binary);
    if (!file) fail(ErrorKind::not_found, "{}: cannot open", printable(o.in, 512));
  }
  std::istream& in = o.in == "-" ? std::cin : file;
  const std::unique_ptr<OutputFile> out = o.out.empty() ? nullptr : std::make_unique<OutputFile>(o.out);
  std::string line;
  for (std::int64_t number = 1; std::getline(in, line); ++number) {
    stop_if_interrupted();
    const Json value = Json::parse(line, nullptr, false);
    std::string result;
    try {
      result = json_text(convert(value), -1, true) + "\n";
    } catch (const Error& error) {
      fail(error.kind(), "{}: line {}: {}", printable(o.in, 512), number, error.what());
    }
    out ? out->write(result) : print(result);
  }
  if (in.bad()) fail(ErrorKind::io, "{}: cannot read", printable(o.in, 512));
  if (out) out->commit();
}

int tokenize(const TokenizeOptions& o) {
  const auto tokenizer = tokenizer_of(o);
  if (!o.in.empty()) {
    if (!o.arguments.empty()) fail(ErrorKind::usage, "give a text or --in, not both");
    convert_lines(o, [&](const Json& line) {
      if (!line.is_string()) fail(ErrorKind::usage, "not a JSON string");
      return Json(tokenizer->encode(line.get_ref<const std::string&>(), encode_options(o)));
    });
    return exit_ok;
  }
  const std::string text = o.arguments.empty() ? read_standard_input(max_text_bytes) : o.arguments.front();
  const std::vector<TokenId> ids = tokenizer->encode(text, encode_options(o));
  if (o.format == "json") {
    print(json_text(ids) + "\n");
    return exit_ok;
  }
  std::string lines;
  for (const TokenId id : ids) {
    lines += fmt::format("{} '{}'\n", id, printable(tokenizer->piece(id, true), std::numeric_limits<std::size_t>::max()));
  }
  print(lines);
  return exit_ok;
}

std::string decode(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, bool special) {
  for (const TokenId id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= tokenizer.size()) {
      fail(ErrorKind::usage, "id {} is outside the vocabulary, allowed are 0 to {}", id,
           static_cast<std::int64_t>(tokenizer.size()) - 1);
    }
  }
  return tokenizer.decode(ids, special);
}

std::vector<TokenId> ids_of(const Json& line) {
  if (!line.is_array()) fail(ErrorKind::usage, "not a JSON array of ids");
  std::vector<TokenId> ids;
  for (const Json& id : line) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > std::numeric_limits<TokenId>::max()) {
      fail(ErrorKind::usage, "entry {} is not a token id", ids.size() + 1);
    }
    ids.push_back(id.get<TokenId>());
  }
  return ids;
}

int detokenize(const TokenizeOptions& o) {
  const auto tokenizer = tokenizer_of(o);
  if (!o.in.empty()) {
    if (!o.arguments.empty()) fail(ErrorKind::usage, "give ids or --in, not both");
    convert_lines(o, [&](const Json& line) { return Json(decode(*tokenizer, ids_of(line), !o.skip_special)); });
    return exit_ok;
  }
  if (o.arguments.empty()) fail(ErrorKind::usage, "no ids: give them as arguments or a file of lines with --in");
  std::vector<TokenId> ids;
  for (const std::string& argument : o.arguments) {
    const std::vector<TokenId> part = parse_ids(argument, "ids");
    ids.insert(ids.end(), part.begin(), part.end());
  }
  const std::string text = decode(*tokenizer, ids, !o.skip_special);
  print(o.format == "json" ? json_text(text) + "\n" : text + "\n");
  return exit_ok;
}

void add_common_flags(CLI::App& command, TokenizeOptions& o) {
  command
      .add_option(
          "-m,--model", o.model,
          "GGUF file, one with a vocabulary alone will do, or folder with config.json; the default model when not given")
      ->type_name("FILE");
  command.add_option("--tokenizer", o.tokenizer, "tokenizer.json, SentencePiece .model, GGUF file or folder, in place of -m")
      ->type_name("FILE");
  command.add_option("--out", o.out, "with --in: the file to write; standard output when not given")->type_name("FILE");
  command.add_option("--format", o.format, "text or json")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

}  // namespace

CommandBody add_tokenize(CLI::App& command) {
  const auto o = std::make_shared<TokenizeOptions>();
  command.footer("Without a text and without --in, standard input is the text, to its last byte.");
  command.add_option("text", o->arguments, "the text")->type_name("")->expected(0, 1);
  command.add_option("--in", o->in, "a file with a JSON string a line gives a JSON array of ids a line; - is standard input")
      ->type_name("FILE");
  command.add_flag("--no-special", o->no_special, "add no tokens that begin or end a text");
  command.add_flag("--no-parse-special", o->no_parse_special, "special tokens written in the text are ordinary text");
  add_common_flags(command, *o);
  return [o] { return tokenize(*o); };
}

CommandBody add_detokenize(CLI::App& command) {
  const auto o = std::make_shared<TokenizeOptions>();
  command.add_option("ids", o->arguments, "ids, separated by blanks or commas")->type_name("");
  command.add_option("--in", o->in, "a file with a JSON array of ids a line gives a JSON string a line; - is standard input")
      ->type_name("FILE");
  command.add_flag("--skip-special", o->skip_special, "leave special tokens out of the text");
  add_common_flags(command, *o);
  return [o] { return detokenize(*o); };
}

}  // namespace bitnet::cli
