// Kernels for instructions that this CPU may lack, run in emulation: they must equal the scalar ones to the bit all the same.
#include <gmock/gmock.h>

#include "kernels/dispatch.h"

namespace bitnet {

// Compiled from kernels/avxvnni/ternary.cc and kernels/avx512/ternary.cc under other names: see CMakeLists.txt.
namespace emulated_avxvnni {
void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept;
}
namespace emulated_avx512 {
void ternary_matmul(const TernaryMatrix& w, std::int64_t begin, std::int64_t end, const QuantisedRows& x, float* y,
                    std::int64_t y_stride, std::byte* scratch) noexcept;
}

namespace {

std::vector<std::string> differing(decltype(KernelTable::ternary_matmul) ternary_matmul) {
  KernelTable table = scalar_table();
  table.ternary_matmul = ternary_matmul;
  return self_test(table);
}

class Emulated : public testing::Test {
 protected:
  void SetUp() override {
    if (kernel_tables().size() == 1) GTEST_SKIP() << "the emulation is compiled for AVX2, which this CPU lacks";
  }
};

TEST_F(Emulated, AvxVnniEqualsScalar) { EXPECT_THAT(differing(emulated_avxvnni::ternary_matmul), testing::IsEmpty()); }

TEST_F(Emulated, Avx512EqualsScalar) { EXPECT_THAT(differing(emulated_avx512::ternary_matmul), testing::IsEmpty()); }

}  // namespace
}  // namespace bitnet
