// A model converted to a HuggingFace folder.
#pragma once

#include "cli/conversion.h"

namespace bitnet::cli {

// Plans, writes and reports; returns the exit code.
int convert_to_folder(const ConvertOptions& options);

}  // namespace bitnet::cli
