// The report of `bitnet inspect` as readable text.
#pragma once

#include <string>

#include "cli/report.h"

namespace bitnet::cli {

// `report` is the object that --json prints. Strings out of the file are made safe for a terminal.
std::string inspect_text(const Json& report);

}  // namespace bitnet::cli
