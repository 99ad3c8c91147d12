// `bitnet quantize`: a model with smaller types; matrices of full precision become ternary, or are rounded.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/conversion.h"

namespace bitnet::cli {

CommandBody add_quantize(CLI::App& command) {
  const auto o = std::make_shared<ConvertOptions>();
  command.footer(
      "With a ternary type, matrices that are not ternary yet become so by absmean: scale = mean |w| of the matrix, codes =\n"
      "round(w / scale) clamped to -1, 0, 1 (BitNet b1.58). That suits models trained for it; others lose what they knew. "
      "With\n"
      "Q8_0, Q6_K, Q4_0, F16 or BF16 they are rounded to the type.");
  add_conversion_flags(command, *o);
  command.add_option("--type", o->type, "I2_S, TQ1_0, TQ2_0, ..., Q8_0, Q6_K, Q4_0, F16 or BF16")
      ->type_name("TYPE")
      ->required();
  command.add_option("--perplexity", o->perplexity, "measure the perplexity of this text before and after")->type_name("FILE");
  return [o] { return convert(*o, Rounding::absmean); };
}

}  // namespace bitnet::cli
