// Which kernel tables this build and this CPU have, and which one to use.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernel_table.h"

namespace bitnet {

// Every table that is compiled in and that this CPU can run, slowest first; scalar is always the first.
std::span<const KernelTable* const> kernel_tables();

// `isa` by name; when empty or "auto", the environment's BITNET_ISA, else the last of kernel_tables().
// Throws Error{usage} for a name nobody knows, Error{unsupported_cpu} for one that this CPU or build lacks.
const KernelTable& select_kernels(std::string_view isa = {});

// Compares a table with scalar on fixed pseudo-random problems of every operation; the names of those that differ.
std::vector<std::string> self_test(const KernelTable& table);

}  // namespace bitnet
