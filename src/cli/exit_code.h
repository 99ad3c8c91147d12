// Exit codes: what the program's number means to a script.
#pragma once

#include <string>

#include "common/error.h"

namespace bitnet::cli {

enum ExitCode : int {
  exit_ok = 0,
  exit_runtime = 1,
  exit_usage = 2,
  exit_not_found = 3,
  exit_bad_model = 4,
  exit_too_big = 5,
  exit_unsupported_cpu = 7,
  exit_interrupted = 130,
};

ExitCode exit_code(ErrorKind kind);

// The table of codes as text for --help.
std::string exit_code_help();

}  // namespace bitnet::cli
