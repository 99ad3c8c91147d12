// Plans and writes a converted model, and says what became of it.
#include "cli/conversion.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <map>

#include "cli/convert_folder.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "cli/text_perplexity.h"
#include "common/cpu_set.h"
#include "common/error.h"
#include "common/mapped_file.h"
#include "common/output_file.h"
#include "inference/recommended_sampling.h"
#include "inference/vocabulary_metadata.h"
#include "models/llama_cpp_form.h"

namespace bitnet::cli {
namespace {

// Of the types that GGUF files have.
std::optional<DataType> parse_type(const std::string& name, std::string_view flag) {
  if (name.empty()) return std::nullopt;
  const auto type = data_type_from_name(name);
  if (!type || !info(*type).ggml_id)
    fail(ErrorKind::usage, "{}: '{}' is no weight type, see `bitnet convert --help`", flag, printable(name, 32));
  return type;
}

bool same_text(const std::string& a, const std::string& b) {
  const MappedFile x = MappedFile::open(a), y = MappedFile::open(b);
  return std::ranges::equal(x.bytes(), y.bytes());
}

// A file of TL1 or TL2 is read with the kernel_config.ini beside it, so it is written with the one that will be there.
KernelConfig tilings(const ConvertOptions& o) {
  const std::string beside = KernelConfig::path_beside(o.out);
  std::error_code ignored;
  if (o.kernel_config.empty()) return std::filesystem::exists(beside, ignored) ? KernelConfig::open(beside) : KernelConfig();
  if (std::filesystem::exists(beside, ignored) && !same_text(beside, o.kernel_config)) {
    fail(ErrorKind::usage, "{}: is another kernel configuration than {}, and the one that the file will be read with",
         printable(beside, 512), printable(o.kernel_config, 512));
  }
  return KernelConfig::open(o.kernel_config);
}

// Puts --kernel-config where the file's readers look for it.
void keep_tilings(const ConvertOptions& o) {
  const std::string beside = KernelConfig::path_beside(o.out);
  std::error_code ignored;
  if (o.kernel_config.empty() || std::filesystem::exists(beside, ignored)) return;
  const MappedFile config = MappedFile::open(o.kernel_config);
  OutputFile copy(beside, Replace::no);
  copy.write({reinterpret_cast<const char*>(config.bytes().data()), config.bytes().size()});
  copy.commit();
}

ConversionOptions resolve(const ConvertOptions& o, Rounding rounding) {
  ConversionOptions options;
  options.projections = parse_type(o.type, "--type");
  options.embedding = parse_type(o.embedding, "--embedding");
  if (options.embedding && info(*options.embedding).ternary) {
    fail(ErrorKind::usage, "--embedding: {} is ternary, an embedding is not", info(*options.embedding).name);
  }
  if (options.projections == DataType::tl1 || options.projections == DataType::tl2) options.tilings = tilings(o);
  options.rounding = rounding;
  options.llama_cpp = o.llama_cpp;
  return options;
}

std::vector<TensorFiles::File> layouts(const ConvertOptions& o, const ConversionPlan& plan) {
  if (!o.out.ends_with(".gguf"))
    fail(ErrorKind::usage, "{}: the file to write must end with .gguf, or give --type hf for a folder", printable(o.out, 512));
  if (o.split_size.empty()) return {{o.out, gguf_layout(plan.metadata, plan.tensors)}};
  const std::string prefix = o.out.substr(0, o.out.size() - std::string_view(".gguf").size());
  const auto ends = cut_by_size(plan.metadata, plan.tensors, parse_size(o.split_size, "--split-size"));
  return part_files(prefix, plan.metadata, plan.tensors, ends);
}

std::uint64_t tensor_bytes(const TensorFiles& files) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < files.tensors(); ++i) total += files.tensor_bytes(i);
  return total;
}

// How many tensors went from one type to another: {"I2_S -> TQ2_0": 210, "F16": 1}.
Json counts(const SourceModel& source, const ConversionPlan& plan) {
  std::map<std::string, std::uint64_t> counted;
  for (const ConversionPlan::Item& item : plan.items) {
    const std::string from(info(source.weights[item.weight].view.type).name), to(info(item.plan.tensor.type).name);
    ++counted[item.plan.how == WeightPlan::How::copy ? to : from + " -> " + to];
  }
  return counted;
}

struct Perplexities {
  Estimate before, after;
};

std::optional<Perplexities> perplexities(const ConvertOptions& o, const TensorFiles& files) {
  if (o.perplexity.empty()) return std::nullopt;
  const Estimate before = perplexity_of(o.source, o.perplexity, o.threads);
  return Perplexities{before, perplexity_of(files.files().front()->path(), o.perplexity, o.threads)};
}

Json json_of(const Estimate& estimate) { return {{"value", estimate.value}, {"error", estimate.error}}; }

void report(const ConvertOptions& o, const SourceModel& source, const ConversionPlan& plan, const TensorFiles& files) {
  const Json tensors = counts(source, plan);
  const std::optional<Perplexities> perplexity = perplexities(o, files);
  if (o.output.json) {
    Json json = {
        {"files", files_json(files)}, {"bytes", files.bytes()}, {"source_bytes", source.bytes()}, {"tensors", tensors}};
    if (perplexity) json["perplexity"] = {{"before", json_of(perplexity->before)}, {"after", json_of(perplexity->after)}};
    return print(json_text(json, 2, true) + "\n");
  }
  std::string text = files_text(files);
  for (const auto& [types, count] : tensors.items()) text += fmt::format("  {} tensors {}\n", count.get<int>(), types);
  text += fmt::format("size {} -> {}\n", byte_text(static_cast<double>(source.bytes())),
                      byte_text(static_cast<double>(files.bytes())));
  if (perplexity) {
    text += fmt::format("perplexity {:.4f} +- {:.4f} -> {:.4f} +- {:.4f}\n", perplexity->before.value, perplexity->before.error,
                        perplexity->after.value, perplexity->after.error);
  }
  print(text);
}

void add_tokenizer(SourceModel& source) {
  try {
    add_vocabulary(source.metadata, *source.model.files().folder());
  } catch (const Error& e) {
    throw Error(e.kind(), std::string(e.what()) + "; --no-tokenizer leaves it out");
  }
}

}  // namespace

void add_conversion_flags(CLI::App& command, ConvertOptions& options) {
  command.add_option("source", options.source, "GGUF file, the first part of one in several, or a HuggingFace folder")
      ->type_name("")
      ->required();
  command.add_option("-o,--out", options.out, "the file to write, or the folder")->type_name("OUT")->required();
  command
      .add_option("--embedding", options.embedding,
                  "embedding and head as F16, BF16, F32, Q8_0, Q6_K or Q4_0; as stored when not given")
      ->type_name("TYPE");
  command.add_flag("--llama-cpp", options.llama_cpp, "names and keys as llama.cpp loads them; with --type TQ2_0 or TQ1_0");
  command.add_flag("--no-tokenizer", options.no_tokenizer, "leave out a tokenizer that the other container has no words for");
  command
      .add_option("--split-size", options.split_size,
                  "several files of at most this size: a number with M (10^6 bytes) or G (10^9)")
      ->type_name("SIZE");
  command
      .add_option("--kernel-config", options.kernel_config,
                  "for --type TL1 and TL2: the kernel_config.ini that defines their tiles, which is then kept beside the file; "
                  "when not given, the one that is there")
      ->type_name("FILE");
  command.add_option("-t,--threads", options.threads, "0 = one per physical core that this process may use")
      ->type_name("N")
      ->envname("BITNET_THREADS")
      ->capture_default_str();
  add_output_flags(command, options.output);
}

int convert(const ConvertOptions& o, Rounding rounding) {
  const InterruptGuard guard;
  if (o.type == "hf" && rounding == Rounding::none) return convert_to_folder(o);
  const ConversionOptions options = resolve(o, rounding);
  SourceModel source = open_source(o.source);
  refuse_own_input(o.out, source.model.files());
  if (source.is_folder() && !o.no_tokenizer) add_tokenizer(source);
  if (source.is_folder()) add_recommended_sampling(source.metadata, *source.model.files().folder());
  ThreadPool pool(thread_count(o.threads));
  ConversionPlan plan = plan_conversion(source, options, pool);
  if (options.llama_cpp) adapt_to_llama_cpp(source, plan);
  TensorFiles files(layouts(o, plan), o.output.replace());
  {
    ProgressBar progress("converting", "bytes");
    std::uint64_t done = 0;
    const std::uint64_t total = tensor_bytes(files);
    carry_out(source, plan, files, pool, [&](std::uint64_t bytes) {
      stop_if_interrupted();
      progress.update(done += bytes, total);
    });
  }
  keep_tilings(o);
  files.commit();
  report(o, source, plan, files);
  return exit_ok;
}

}  // namespace bitnet::cli
