// Rows of a table that stays in the file are those of a copy; a file that changes is an error, never other numbers.
#include "inference/row_table.h"

#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>
#include <random>

#include "common/error.h"
#include "common/half.h"
#include "kernels/dispatch.h"
#include "support/gguf_builder.h"

namespace bitnet {
namespace {

constexpr std::int64_t rows = 1500, cols = 320, skipped = 100;  // bytes before the table in the file

class RowTableTest : public testing::TestWithParam<int> {
 protected:
  RowTableTest() : pool_(GetParam()), file_(content()), map_(MappedFile::open(file_.path())) {}

  static std::string content() {
    std::mt19937 random(3);
    std::string bytes(skipped, '\0');
    for (std::int64_t i = 0; i < rows * cols; ++i) {
      const std::uint16_t half = f32_to_f16(std::normal_distribution<float>()(random));
      bytes.append(reinterpret_cast<const char*>(&half), sizeof half);
    }
    return bytes;
  }

  RowTable table(std::uint64_t largest_copy) {
    return {{"token_embd.weight", {DataType::f16, {{rows, cols}}, map_.bytes().subspan(skipped)}}, map_, pool_, largest_copy};
  }

  ThreadPool pool_;
  test::TempFile file_;
  MappedFile map_;
  Compute compute_{*kernel_tables().back(), pool_, cols, 64};
};

TEST_P(RowTableTest, GivesTheSameWhereverTheRowsAre) {
  const RowTable copied = table(RowTable::copied_up_to), left = table(0);
  EXPECT_EQ(copied.resident_bytes(), 2 * rows * cols);
  EXPECT_EQ(left.resident_bytes(), 0);
  EXPECT_EQ(left.stored_bytes(), 2 * rows * cols);
  std::vector<float> x(2 * cols), a(2 * rows), b(2 * rows);
  std::mt19937 random(4);
  for (float& value : x) value = std::normal_distribution<float>()(random);
  copied.multiply(x.data(), 2, a.data(), rows, compute_);
  left.multiply(x.data(), 2, b.data(), rows, compute_);
  EXPECT_EQ(a, b);
  EXPECT_NE(a[0], 0);
  const DenseMatrix row = left.read(77, 1, compute_.rows[0]);
  EXPECT_EQ(std::memcmp(row.data, map_.bytes().data() + skipped + 77 * 2 * cols, 2 * cols), 0);
}

TEST_P(RowTableTest, GathersRowsInTheOrderTheyAreNamed) {
  const std::vector<TokenId> wanted = {77, 3, 1499, 3, 0};
  for (const std::uint64_t largest_copy : {RowTable::copied_up_to, std::uint64_t{0}}) {
    const RowTable rows_of_file = table(largest_copy);
    const DenseMatrix gathered = rows_of_file.gather(wanted, compute_.rows[0]);
    ASSERT_EQ(gathered.rows, std::ssize(wanted));
    EXPECT_EQ(gathered.row_bytes, 2 * cols);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_EQ(std::memcmp(gathered.data + i * 2 * cols, map_.bytes().data() + skipped + wanted[i] * 2 * cols, 2 * cols), 0);
    }
  }
}

TEST_P(RowTableTest, ReadsTheFileItWasMadeFromWhateverTakesItsName) {
  const RowTable left = table(0);
  std::filesystem::remove(file_.path());
  EXPECT_EQ(std::memcmp(left.read(3, 1, compute_.rows[0]).data, map_.bytes().data() + skipped + 3 * 2 * cols, 2 * cols), 0);
}

TEST_P(RowTableTest, RefusesAFileThatWasChanged) {
  const RowTable left = table(0);
  const auto is_refused = [](const char* fact) {
    return testing::Throws<Error>(testing::AllOf(testing::Property(&Error::kind, ErrorKind::io),
                                                 testing::Property(&Error::what, testing::HasSubstr(fact))));
  };
  std::filesystem::last_write_time(file_.path(), std::filesystem::last_write_time(file_.path()) + std::chrono::seconds(1));
  std::vector<float> x(cols), y(rows);
  EXPECT_THAT([&] { left.multiply(x.data(), 1, y.data(), rows, compute_); }, is_refused("was changed while it was in use"));
  EXPECT_THAT([&] { left.gather(std::vector<TokenId>{1, 2}, compute_.rows[0]); },
              is_refused("was changed while it was in use"));
  std::filesystem::resize_file(file_.path(), skipped + 2 * cols * (rows - 1));
  EXPECT_THAT([&] { left.read(rows - 1, 1, compute_.rows[0]); }, is_refused("ends at byte"));
}

INSTANTIATE_TEST_SUITE_P(Threads, RowTableTest, testing::Values(1, 3));

}  // namespace
}  // namespace bitnet
