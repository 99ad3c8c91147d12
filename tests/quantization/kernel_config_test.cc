// Is a kernel configuration read as bitnet.cpp writes it, and refused by line when it is not one?
#include "quantization/kernel_config.h"

#include <gmock/gmock.h>

#include "common/error.h"

namespace bitnet {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

const std::string one = "[Kernels_0]\nm = 3200\nk = 8640\nbm = 160\nbk = 96\nbmm = 32\n\n";

TEST(KernelConfig, FindsTheTilingOfAShape) {
  const auto config =
      KernelConfig::read("# made by hand\r\n" + one + "; more\n[B]\n k=3200\nm=8640\nbmm = 64\nbk=128\n\tbm = 320", "f");
  EXPECT_EQ(config.find(3200, 8640), (Tiling{160, 96, 32}));
  EXPECT_EQ(config.find(8640, 3200), (Tiling{320, 128, 64}));
  EXPECT_EQ(config.find(3200, 3200), Tiling{});
  EXPECT_EQ(KernelConfig::read("", "f").find(1, 1), Tiling{});
}

TEST(KernelConfig, NamesTheLineItRefuses) {
  const auto refused = [](const std::string& text, const std::string& message) {
    EXPECT_THAT([&] { KernelConfig::read(text, "dir/kernel_config.ini"); },
                ThrowsMessage<Error>("dir/kernel_config.ini: line " + message))
        << text;
  };
  refused("m = 1\n", "1: 'm' stands before the first section");
  refused("[a]\nbkk = 3\n", "2: 'bkk' is none of m, k, bm, bk, bmm");
  refused("[a]\nm = 3\nm = 3\n", "3: 'm' stands twice in a section");
  for (const std::string value : {"0", "-3", "1048577", "99999999999999999999", "12x", "", "0x10", "3.5"}) {
    refused("[a]\nm = " + value, "2: m is '" + value + "', it must be a whole number from 1 to 1048576");
  }
  refused("[a]\nm 3\n", "2: 'm 3' is neither [SECTION] nor NAME = NUMBER");
  refused("[]\n", "1: '[]' is no section's name");
  refused("[a\n", "1: '[a' is no section's name");
  refused(one + "[b]\nm = 1\nk = 1\nbm = 1\nbk = 1\n", "8: the section has no bmm");
  refused(one + one, "8: a second section for m = 3200 and k = 8640");
  refused("[a]\n\x1b[31m = 1", "2: '\\x1b[31m' is none of m, k, bm, bk, bmm");
}

TEST(KernelConfig, HoldsABoundedNumberOfSections) {
  std::string text;
  for (int i = 1; i <= 256; ++i) text += fmt::format("[{0}]\nm = {0}\nk = 1\nbm = 1\nbk = 1\nbmm = 1\n", i);
  EXPECT_EQ(KernelConfig::read(text, "f").find(256, 1), (Tiling{1, 1, 1}));
  EXPECT_THAT([&] { KernelConfig::read(text + "[last]\n", "f"); }, ThrowsMessage<Error>(HasSubstr("more than 256 sections")));
}

}  // namespace
}  // namespace bitnet
