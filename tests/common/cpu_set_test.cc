// The default thread count under cgroup quotas and shared cores, from folders made to look like /proc and /sys.
#include "common/cpu_set.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace bitnet {
namespace {

class FakeRoot : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "bitnet-root-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }

  std::string root_;
};

TEST_F(FakeRoot, WithoutFilesEveryCpuIsACore) {
  const CpuBudget budget = cpu_budget(root_);
  EXPECT_GE(budget.logical, 1);
  EXPECT_EQ(budget.physical, budget.logical);
  EXPECT_EQ(budget.threads, budget.physical);
  EXPECT_EQ(budget.quota, 0);
}

TEST_F(FakeRoot, SiblingsCountOnce) {
  const int logical = cpu_budget(root_).logical;
  for (int cpu = 0; cpu < 1024; ++cpu) {
    write("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", "0-1023\n");
  }
  const CpuBudget budget = cpu_budget(root_);
  EXPECT_EQ(budget.logical, logical);
  EXPECT_EQ(budget.physical, 1);
  EXPECT_EQ(budget.threads, 1);
}

TEST_F(FakeRoot, TakesTheTightestVersion2QuotaOnTheWayUp) {
  write("/proc/self/cgroup", "0::/outer/inner\n");
  write("/sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
  write("/sys/fs/cgroup/outer/cpu.max", "50000 100000\n");
  const CpuBudget budget = cpu_budget(root_);
  EXPECT_EQ(budget.quota, 0.5);
  EXPECT_EQ(budget.threads, 1);
}

TEST_F(FakeRoot, ReadsVersion1Quotas) {
  write("/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/docker/abc\n");
  write("/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "150000\n");
  write("/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpu_budget(root_).quota, 1.5);
  write("/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(cpu_budget(root_).quota, 0);
}

TEST_F(FakeRoot, SurvivesNonsense) {
  write("/proc/self/cgroup", "nonsense\n::\n0::\n");
  write("/sys/fs/cgroup/cpu.max", "abc -5\n");
  EXPECT_EQ(cpu_budget(root_).quota, 0);
}

}  // namespace
}  // namespace bitnet
