// Chooses a kernel table at run time.
#include "kernels/dispatch.h"

#include <cstdlib>
#ifdef BITNET_HAVE_NEON
#include <sys/auxv.h>

#include <asm/hwcap.h>
#endif

#include "common/error.h"

namespace bitnet {
namespace {

#ifdef BITNET_HAVE_X86
struct CpuId {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuId cpuid(unsigned leaf, unsigned subleaf) {
  CpuId id{.eax = leaf, .ecx = subleaf};
  asm volatile("cpuid" : "+a"(id.eax), "=b"(id.ebx), "+c"(id.ecx), "=d"(id.edx));
  return id;
}

// The compiler's own test knows whether the system saves the wide registers, but older compilers have no name for F16C and
// AVX-VNNI.
void detect(std::vector<const KernelTable*>& tables) {
  __builtin_cpu_init();
  const bool f16c = (cpuid(1, 0).ecx >> 29 & 1) != 0;
  if (!__builtin_cpu_supports("avx2") || !f16c) return;
  tables.push_back(&avx2_table());
  const bool avxvnni = cpuid(0, 0).eax >= 7 && cpuid(7, 0).eax >= 1 && (cpuid(7, 1).eax >> 4 & 1) != 0;
  if (avxvnni) tables.push_back(&avxvnni_table());
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
  if (avx512 && __builtin_cpu_supports("avx512vnni")) tables.push_back(&avx512_table());
}
#elif defined(BITNET_HAVE_NEON)
void detect(std::vector<const KernelTable*>& tables) {
  tables.push_back(&neon_table());
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) == 0) return;
  tables.push_back(&dotprod_table());
  if ((getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0) tables.push_back(&i8mm_table());
}
#else
void detect(std::vector<const KernelTable*>& /*tables*/) {}
#endif

std::string names_of(std::span<const KernelTable* const> tables) {
  std::string names;
  for (const KernelTable* table : tables) names += (names.empty() ? "" : ", ") + std::string(table->name);
  return names;
}

}  // namespace

std::span<const KernelTable* const> kernel_tables() {
  static const std::vector<const KernelTable*> tables = [] {
    std::vector<const KernelTable*> found = {&scalar_table()};
    detect(found);
    return found;
  }();
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
  for (const std::string_view known : {"avx2", "avxvnni", "avx512", "neon", "dotprod", "i8mm", "wasm"}) {
    if (known == isa) {
      fail(ErrorKind::unsupported_cpu, "{}: this CPU or build has no {} kernels, it has: {}", from, isa,
           names_of(kernel_tables()));
    }
  }
  fail(ErrorKind::usage, "{}: '{}' is no instruction set, choose from: auto, {}", from, printable(isa),
       names_of(kernel_tables()));
}

}  // namespace bitnet
