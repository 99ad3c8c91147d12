// Every kernel table this CPU can run must equal the scalar one to the bit.
#include <gmock/gmock.h>

#include <cstdlib>

#include "common/error.h"
#include "kernels/dispatch.h"

namespace bitnet {
namespace {

class EveryTable : public testing::TestWithParam<const KernelTable*> {};

TEST_P(EveryTable, EqualsScalarInEveryOperation) { EXPECT_THAT(self_test(*GetParam()), testing::IsEmpty()); }

TEST_P(EveryTable, CanBeForcedByName) { EXPECT_EQ(&select_kernels(GetParam()->name), GetParam()); }

INSTANTIATE_TEST_SUITE_P(Kernels, EveryTable, testing::ValuesIn(kernel_tables().begin(), kernel_tables().end()),
                         [](const auto& tested) { return std::string(tested.param->name); });

TEST(SelfTest, NoticesAWrongResult) {
  KernelTable wrong = *kernel_tables().back();
  wrong.add = [](float* x, const float* y, std::int64_t n) noexcept {
    for (std::int64_t i = 0; i < n; ++i) x[i] += y[i] * 1.0000001f;
  };
  EXPECT_THAT(self_test(wrong), testing::ElementsAre("elementwise"));
}

TEST(Dispatch, PrefersTheLastTable) {
  unsetenv("BITNET_ISA");
  EXPECT_EQ(&select_kernels(), kernel_tables().back());
  setenv("BITNET_ISA", "scalar", 1);
  EXPECT_STREQ(select_kernels().name, "scalar");
  EXPECT_STREQ(select_kernels("auto").name, "scalar");
  unsetenv("BITNET_ISA");
}

TEST(Dispatch, NamesWhatItDoesNotHave) {
  try {
    select_kernels("wasm");
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::unsupported_cpu);
    EXPECT_THAT(e.what(), testing::HasSubstr("no wasm kernels"));
  }
  try {
    select_kernels("quantum");
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_THAT(e.what(), testing::HasSubstr("'quantum' is no instruction set"));
  }
}

}  // namespace
}  // namespace bitnet
