// A program for test_gguf_py.py: floats on standard input become stored bytes on standard output, or the other way round.
//
// bitnet-codec encode TYPE ROWS COLS: rows of float32 to a tensor of TYPE; ternary types take weights of -s, 0 and s.
// bitnet-codec decode TYPE ROWS COLS: a tensor of TYPE to rows of float32.
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

DataType type_named(const std::string& name) {
  for (std::uint32_t id = 0; id < 1024; ++id) {
    if (const auto type = data_type_from_ggml(id); type && info(*type).name == name) return *type;
  }
  fail(ErrorKind::usage, "no type {}", name);
}

std::vector<std::byte> encode(DataType type, const TensorView& floats) {
  const std::int64_t rows = floats.shape.rows(), cols = floats.shape.cols();
  std::vector<std::byte> out(encoded_bytes(type, rows, cols));
  if (info(type).ternary) {
    ThreadPool pool(1);
    encode_ternary(type, ternary_rows(floats, "w", ternary_scales(floats, "w").value()), pool, out);
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

std::vector<std::byte> decode(const TensorView& tensor) {
  const std::int64_t rows = tensor.shape.rows(), cols = tensor.shape.cols();
  std::vector<float> weights(static_cast<std::size_t>(rows * cols));
  const std::int64_t row_bytes = static_cast<std::int64_t>(tensor.bytes.size()) / rows;
  for (std::int64_t r = 0; r < rows; ++r) {
    scalar_table().decode(tensor.type, tensor.bytes.data() + r * row_bytes, cols, weights.data() + r * cols);
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(weights.data());
  return {bytes, bytes + weights.size() * sizeof(float)};
}

}  // namespace
}  // namespace bitnet

int main(int argc, char** argv) try {
  if (argc != 5) return 2;
  const bitnet::DataType type = bitnet::type_named(argv[2]);
  const bitnet::Shape shape{{std::stoll(argv[3]), std::stoll(argv[4])}};
  const auto in = bitnet::read_all();
  const bool encoding = argv[1] == std::string("encode");
  const auto out = encoding ? bitnet::encode(type, {bitnet::DataType::f32, shape, in}) : bitnet::decode({type, shape, in});
  return std::fwrite(out.data(), 1, out.size(), stdout) == out.size() ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
