// The parts of `bitnet inspect` that read all weights: sha256 of tensors and files, and the check for damage.
#pragma once

#include "cli/report.h"
#include "models/model_files.h"

namespace bitnet::cli {

// Adds "sha256" to every tensor of the report's table, in order, and the files' under "sha256". Throws Error{cancelled} after
// Ctrl-C.
void add_hashes(Json& report, const ModelFiles& files);

// Adds "check": the tensors that look damaged, each with what is wrong. Returns how many.
std::size_t add_check(Json& report, const ModelFiles& files);

}  // namespace bitnet::cli
