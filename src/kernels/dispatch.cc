// Chooses a kernel table at run time.
#include "kernels/dispatch.h"

#include <cstdlib>

#include "common/error.h"

namespace bitnet {
namespace {

std::vector<const KernelTable*> detect() {
  std::vector<const KernelTable*> tables = {&scalar_table()};
#ifdef BITNET_HAVE_AVX2
  // GCC 12 and older Clangs have no name for F16C here; every CPU with AVX2 has it, but a hypervisor may hide it.
  __builtin_cpu_init();
  unsigned eax = 1, ebx, ecx = 0, edx;
  asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  const bool f16c = (ecx >> 29 & 1) != 0;
  if (__builtin_cpu_supports("avx2") && f16c) tables.push_back(&avx2_table());
#endif
  return tables;
}

std::string names_of(std::span<const KernelTable* const> tables) {
  std::string names;
  for (const KernelTable* table : tables) names += (names.empty() ? "" : ", ") + std::string(table->name);
  return names;
}

}  // namespace

std::span<const KernelTable* const> kernel_tables() {
  static const std::vector<const KernelTable*> tables = detect();
  return tables;
}

const KernelTable& select_kernels(std::string_view isa) {
  std::string_view from = "--isa";
  if (isa.empty() || isa == "auto") {
    const char* variable = std::getenv("BITNET_ISA");
    isa = variable != nullptr ? variable : "";
    from = "BITNET_ISA";
  }
  if (isa.empty() || isa == "auto") return *kernel_tables().back();
  for (const KernelTable* table : kernel_tables()) {
    if (table->name == isa) return *table;
  }
  for (const std::string_view known : {"avx2", "avxvnni", "avx512", "neon", "wasm"}) {
    if (known == isa) {
      fail(ErrorKind::unsupported_cpu, "{}: this CPU or build has no {} kernels, it has: {}", from, isa,
           names_of(kernel_tables()));
    }
  }
  fail(ErrorKind::usage, "{}: '{}' is no instruction set, choose from: auto, {}", from, printable(isa),
       names_of(kernel_tables()));
}

}  // namespace bitnet
