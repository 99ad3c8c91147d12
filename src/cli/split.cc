// `bitnet split`: a GGUF file cut into parts that llama.cpp and this program read.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/model_output.h"
#include "common/error.h"
#include "models/gguf_parts.h"

namespace bitnet::cli {
namespace {

struct SplitOptions {
  std::string source, prefix, size;
  std::size_t parts = 0;
  OutputOptions output;
};

int split(const SplitOptions& o) {
  if (o.size.empty() == (o.parts == 0)) fail(ErrorKind::usage, "give either --size or --parts");
  const InterruptGuard guard;
  const GgufFile source = GgufFile::open(o.source);
  GgufMetadata metadata;
  for (const GgufEntry& entry : source.entries()) metadata.copy(entry);
  const std::vector<NewTensor> tensors = tensor_table({&source, 1});
  if (tensors.empty()) fail(ErrorKind::unsupported, "{}: has no tensors to split", printable(o.source, 512));
  const std::vector<std::size_t> ends =
      o.size.empty() ? cut_into(tensors, o.parts) : cut_by_size(metadata, tensors, parse_size(o.size, "--size"));
  TensorFiles files(part_files(o.prefix, metadata, tensors, ends), o.output.replace());
  copy_tensors({&source, 1}, files, "splitting");
  files.commit();
  report_files(files, o.output.json);
  return exit_ok;
}

}  // namespace

CommandBody add_split(CLI::App& command) {
  const auto o = std::make_shared<SplitOptions>();
  command.footer("The parts are PREFIX-00001-of-0000N.gguf and so on; give the first to any command that takes a model.");
  command.add_option("source", o->source, "GGUF file")->type_name("")->required();
  command.add_option("-o,--out", o->prefix, "what the parts' names begin with")->type_name("PREFIX")->required();
  command.add_option("--size", o->size, "no part is larger, unless one tensor is: a number with M (10^6 bytes) or G (10^9)")
      ->type_name("SIZE");
  command.add_option("--parts", o->parts, "how many parts, of about the same size")->type_name("N");
  add_output_flags(command, o->output);
  return [o] { return split(*o); };
}

}  // namespace bitnet::cli
