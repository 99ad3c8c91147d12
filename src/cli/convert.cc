// `bitnet convert`: the same model in another container or with other types; codes and scales stay as they are.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/conversion.h"

namespace bitnet::cli {

CommandBody add_convert(CLI::App& command) {
  const auto o = std::make_shared<ConvertOptions>();
  command.footer(
      "Ternary weights keep their codes and scales: a scale that the type cannot hold exactly is written beside the tensor,\n"
      "as NAME.scale. Whatever cannot be kept is refused by name before anything is written.");
  add_conversion_flags(command, *o);
  command
      .add_option(
          "--type", o->type,
          "ternary weights as I2_S, TQ1_0, TQ2_0, ..., F16, BF16 or F32; hf for a HuggingFace folder; as stored when not "
          "given")
      ->type_name("TYPE");
  return [o] { return convert(*o, Rounding::none); };
}

}  // namespace bitnet::cli
