// What commands that write models share: flags, sizes as users write them, copying of tensors, and the report of files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/report.h"
#include "models/model_files.h"
#include "models/tensor_file.h"

namespace CLI {
class App;
}

namespace bitnet::cli {

struct OutputOptions {
  bool force = false, json = false;

  Replace replace() const { return force ? Replace::yes : Replace::no; }
};

// --force, --json and --progress.
void add_output_flags(CLI::App& command, OutputOptions& options);

// "500M" (10^6 bytes), "2G" (10^9), or a number of bytes, at least 1. `what` names it in Error{usage}.
std::uint64_t parse_size(std::string_view text, std::string_view what);

// Throws Error{usage} when the file to write is the one that is read.
void refuse_own_input(const std::string& out, const std::string& source);
void refuse_own_input(const std::string& out, const ModelFiles& source);  // one of those, or their folder

// The tensors of all files in order, as they are.
std::vector<NewTensor> tensor_table(std::span<const GgufFile> files);

// Copies the tensors of tensor_table(sources), with a progress line. Throws Error{cancelled} after Ctrl-C.
void copy_tensors(std::span<const GgufFile> sources, TensorFiles& files, const char* label);

// The files that were written: path, bytes and tensors of each.
Json files_json(const TensorFiles& files);
std::string files_text(const TensorFiles& files);
// One of both to standard output.
void report_files(const TensorFiles& files, bool json);

}  // namespace bitnet::cli
