// Kernels for instructions that this CPU may lack, run in emulation: they must equal the scalar ones to the bit all the same.
#include <gmock/gmock.h>

#include "kernels/dispatch.h"

// Compiled from kernels/avxvnni and kernels/avx512 under other names: see CMakeLists.txt.
#define avxvnni emulated_avxvnni
#define avx512 emulated_avx512
#include "kernels/avx512/ops.h"
#include "kernels/avxvnni/ops.h"
#undef avxvnni
#undef avx512

namespace bitnet {
namespace {

KernelTable emulated_vnni_table() {
  KernelTable table = scalar_table();
  table.ternary_matmul = emulated_avxvnni::ternary_matmul;
  table.ternary_rows = emulated_avxvnni::ternary_rows;
  return table;
}

KernelTable emulated_512_table() {
  KernelTable table = scalar_table();
  table.ternary_matmul = emulated_avx512::ternary_matmul;
  table.ternary_rows = emulated_avx512::ternary_rows;
  table.ternary_combine = emulated_avx512::ternary_combine;
  table.six_bit_scan = emulated_avx512::six_bit_scan;
  table.attend = emulated_avx512::attend;
  table.merge_states = emulated_avx512::merge_states;
  return table;
}

class Emulated : public testing::Test {
 protected:
  void SetUp() override {
    if (kernel_tables().size() == 1) GTEST_SKIP() << "the emulation is compiled for AVX2, which this CPU lacks";
  }
};

TEST_F(Emulated, AvxVnniEqualsScalar) { EXPECT_THAT(self_test(emulated_vnni_table()), testing::IsEmpty()); }

TEST_F(Emulated, Avx512EqualsScalar) { EXPECT_THAT(self_test(emulated_512_table()), testing::IsEmpty()); }

}  // namespace
}  // namespace bitnet
