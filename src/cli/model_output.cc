// Shared flags and steps of the commands that write model files.
#include "cli/model_output.h"

#include <CLI/CLI.hpp>
#include <cmath>

#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "common/error.h"

namespace bitnet::cli {

void add_output_flags(CLI::App& command, OutputOptions& options) {
  command.add_flag("--force", options.force, "replace files that have the name already");
  command.add_flag("--json", options.json, "one JSON object in place of readable text");
  add_progress_flag(command);
}

std::uint64_t parse_size(std::string_view text, std::string_view what) {
  std::string_view digits = text;
  double unit = 1;
  if (!digits.empty() && (digits.back() == 'M' || digits.back() == 'G')) {
    unit = digits.back() == 'M' ? 1e6 : 1e9;
    digits.remove_suffix(1);
  }
  const double bytes = parse_number(digits).value_or(-1) * unit;
  if (!(bytes >= 1 && bytes <= 1e18)) {
    fail(ErrorKind::usage, "{}: '{}' is no size, write 500M (10^6 bytes) or 2G (10^9)", what, printable(text, 32));
  }
  return static_cast<std::uint64_t>(bytes);
}

void refuse_own_input(const std::string& out, const std::string& source) {
  if (same_file(out, source)) {
    fail(ErrorKind::usage, "{}: is the file that is read, give another name to write to", printable(out, 512));
  }
}

void refuse_own_input(const std::string& out, const ModelFiles& source) {
  for (std::uint32_t i = 0; i < source.file_count(); ++i) refuse_own_input(out, source.map(i).path());
  if (source.folder() != nullptr && same_file(out, source.folder()->path())) {
    fail(ErrorKind::usage, "{}: is the folder that is read, give another name to write to", printable(out, 512));
  }
}

std::vector<NewTensor> tensor_table(std::span<const GgufFile> files) {
  std::vector<NewTensor> table;
  for (const GgufFile& file : files) {
    for (const GgufTensor& tensor : file.tensors()) {
      table.push_back({std::string(tensor.name), tensor.view.type, tensor.view.shape});
    }
  }
  return table;
}

void copy_tensors(std::span<const GgufFile> sources, TensorFiles& files, const char* label) {
  ProgressBar progress(label, "bytes");
  std::uint64_t done = 0;
  std::size_t index = 0;
  for (const GgufFile& source : sources) {
    for (const GgufTensor& tensor : source.tensors()) {
      files.copy(index++, tensor.view.bytes, source.map(), [&](std::uint64_t bytes) {
        stop_if_interrupted();
        progress.update(done += bytes, files.bytes());
      });
    }
  }
}

Json files_json(const TensorFiles& files) {
  Json list = Json::array();
  for (const auto& file : files.files()) {
    const FileLayout& layout = file->layout();
    list.push_back({{"path", file->path()}, {"bytes", layout.file_bytes}, {"tensors", layout.tensors.size()}});
  }
  return list;
}

std::string files_text(const TensorFiles& files) {
  std::string text;
  for (const auto& file : files.files()) {
    const FileLayout& layout = file->layout();
    text += fmt::format("{}: {} tensors, {}\n", printable(file->path(), 512), layout.tensors.size(),
                        byte_text(static_cast<double>(layout.file_bytes)));
  }
  return text;
}

void report_files(const TensorFiles& files, bool json) {
  print(json ? json_text(Json{{"files", files_json(files)}}, 2, true) + "\n" : files_text(files));
}

}  // namespace bitnet::cli
