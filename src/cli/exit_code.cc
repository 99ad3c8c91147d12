// The one table from the library's errors to exit codes.
#include "cli/exit_code.h"

namespace bitnet::cli {

ExitCode exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::runtime:
      return exit_runtime;
    case ErrorKind::usage:
      return exit_usage;
    case ErrorKind::not_found:
      return exit_not_found;
    case ErrorKind::bad_model:
      return exit_bad_model;
    case ErrorKind::too_big:
      return exit_too_big;
    case ErrorKind::io:
      return exit_runtime;
    case ErrorKind::unsupported_cpu:
      return exit_unsupported_cpu;
    case ErrorKind::unsupported:
      return exit_bad_model;
    case ErrorKind::cancelled:
      return exit_interrupted;
  }
  return exit_runtime;
}

std::string exit_code_help() {
  return "Exit codes: 0 done, 1 failed while running, 2 wrong usage, 3 no such model or file, 4 bad or unsupported model\n"
         "file, 5 too big for memory, the context or a limit, 7 this CPU lacks the instruction set asked for,\n"
         "130 interrupted.";
}

}  // namespace bitnet::cli
