// A program for test_gguf_py.py: floats on standard input become stored bytes on standard output, or the other way round.
//
// bitnet-codec encode TYPE ROWS COLS [BM BK BMM]: rows of float32 to a tensor of TYPE; ternary types take weights of -s, 0 and
// s. bitnet-codec decode TYPE ROWS COLS [BM BK BMM]: a tensor of TYPE to rows of float32, as the kernels decode it.
// bitnet-codec unpack TYPE ROWS COLS [BM BK BMM]: the same by codes and scales.
#include <cstdio>
#include <iterator>
#include <string>

#include "common/error.h"
#include "kernels/kernel_table.h"
#include "quantization/encode.h"

namespace bitnet {
namespace {

std::vector<std::byte> read_all() {
  std::vector<std::byte> bytes;
  std::byte part[65536];
  for (std::size_t n; (n = std::fread(part, 1, sizeof part, stdin)) > 0;) bytes.insert(bytes.end(), part, part + n);
  return bytes;
}

std::vector<std::byte> encode(DataType type, const TensorView& floats, const Tiling& tiling) {
  const std::int64_t rows = floats.shape.rows(), cols = floats.shape.cols();
  std::vector<std::byte> out(encoded_bytes(type, rows, cols));
  if (info(type).ternary) {
    ThreadPool pool(1);
    encode_ternary(type, ternary_rows(floats, "w", ternary_scales(floats, "w").value()), pool, out, tiling);
    return out;
  }
  const std::size_t row_bytes = out.size() / static_cast<std::size_t>(rows);
  std::vector<float> row(static_cast<std::size_t>(cols));
  for (std::int64_t r = 0; r < rows; ++r) {
    scalar_table().decode(DataType::f32, floats.bytes.data() + r * cols * 4, cols, row.data());
    encode_dense_row(type, "w", r, row, std::span(out).subspan(static_cast<std::size_t>(r) * row_bytes, row_bytes));
  }
  return out;
}

std::vector<float> decode(const TensorView& tensor) {
  const std::int64_t rows = tensor.shape.rows(), cols = tensor.shape.cols();
  if (!info(tensor.type).rows_apart) fail(ErrorKind::usage, "the rows of {} do not lie apart", info(tensor.type).name);
  std::vector<float> weights(static_cast<std::size_t>(rows * cols));
  const std::int64_t row_bytes = static_cast<std::int64_t>(tensor.bytes.size()) / rows;
  for (std::int64_t r = 0; r < rows; ++r) {
    scalar_table().decode(tensor.type, tensor.bytes.data() + r * row_bytes, cols, weights.data() + r * cols);
  }
  return weights;
}

std::vector<float> unpack(const TensorView& tensor) {
  const std::int64_t rows = tensor.shape.rows(), cols = tensor.shape.cols();
  const auto scales = ternary_scales(tensor, "w");
  if (!scales) fail(ErrorKind::usage, "not ternary");
  std::vector<float> weights;
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(cols));
  const std::int64_t each = scales_per_row(scales->per, cols);
  for (std::int64_t r = 0; r < rows; ++r) {
    unpack_row(tensor, "w", r, codes.data());
    for (std::int64_t c = 0; c < cols; ++c) {
      const std::int64_t index = each == 0 ? 0 : r * each + c * each / cols;
      weights.push_back(static_cast<float>(codes[static_cast<std::size_t>(c)] - 1) *
                        scales->values[static_cast<std::size_t>(index)]);
    }
  }
  return weights;
}

int run(std::span<const std::string> arguments) {
  if (arguments.size() != 4 && arguments.size() != 7) fail(ErrorKind::usage, "wrong arguments, see codec.cc");
  const auto type = data_type_from_name(arguments[1]);
  if (!type) fail(ErrorKind::usage, "no type {}", arguments[1]);
  const Shape shape{{std::stoll(arguments[2]), std::stoll(arguments[3])}};
  Tiling tiling;
  if (arguments.size() == 7) tiling = {std::stoll(arguments[4]), std::stoll(arguments[5]), std::stoll(arguments[6])};
  const std::vector<std::byte> in = read_all();
  if (arguments[0] == "encode") {
    const auto out = encode(*type, {DataType::f32, shape, in}, tiling);
    return std::fwrite(out.data(), 1, out.size(), stdout) == out.size() ? 0 : 1;
  }
  const TensorView tensor{*type, shape, in, tiling};
  const auto out = arguments[0] == "decode" ? decode(tensor) : unpack(tensor);
  return std::fwrite(out.data(), sizeof(float), out.size(), stdout) == out.size() ? 0 : 1;
}

}  // namespace
}  // namespace bitnet

int main(int argc, char** argv) try {
  return bitnet::run(std::vector<std::string>(argv + 1, argv + argc));
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
