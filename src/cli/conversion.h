// What convert and quantize share: flags, the work, the report.
#pragma once

#include <string>

#include "cli/model_output.h"
#include "models/weight_encoding.h"

namespace bitnet::cli {

struct ConvertOptions {
  std::string source, out, type, embedding, split_size;
  std::string perplexity;     // a text file, empty for none
  std::string kernel_config;  // of TL1 and TL2; empty for the one beside `out`
  bool llama_cpp = false, no_tokenizer = false;
  int threads = 0;
  OutputOptions output;
};

// All but --type, which the two explain differently.
void add_conversion_flags(CLI::App& command, ConvertOptions& options);

// Plans, writes and reports; returns the exit code. Nothing is created before everything about the result is decided.
int convert(const ConvertOptions& options, Rounding rounding);

}  // namespace bitnet::cli
