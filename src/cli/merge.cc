// `bitnet merge`: the parts of a GGUF model put together again.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/model_output.h"
#include "common/error.h"
#include "models/gguf_parts.h"

namespace bitnet::cli {
namespace {

struct MergeOptions {
  std::string first, out;
  OutputOptions output;
};

int merge(const MergeOptions& o) {
  const InterruptGuard guard;
  const std::vector<GgufFile> parts = open_parts(o.first);
  for (const GgufFile& part : parts) refuse_own_input(o.out, part.path());
  GgufMetadata metadata;
  for (const GgufEntry& entry : parts.front().entries()) {
    if (!entry.key.starts_with("split.")) metadata.copy(entry);
  }
  TensorFiles files({{o.out, gguf_layout(metadata, tensor_table(parts))}}, o.output.replace());
  copy_tensors(parts, files, "merging");
  files.commit();
  report_files(files, o.output.json);
  return exit_ok;
}

}  // namespace

CommandBody add_merge(CLI::App& command) {
  const auto o = std::make_shared<MergeOptions>();
  command.footer("The other parts lie beside the first, as `bitnet split` or llama.cpp named them.");
  command.add_option("first", o->first, "the first part: ...-00001-of-0000N.gguf")->type_name("")->required();
  command.add_option("-o,--out", o->out, "the file to write")->type_name("FILE.gguf")->required();
  add_output_flags(command, o->output);
  return [o] { return merge(*o); };
}

}  // namespace bitnet::cli
