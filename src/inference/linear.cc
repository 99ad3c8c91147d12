// Repacks projections for the kernels, and multiplies with them on all threads.
#include "inference/linear.h"

#include <algorithm>
#include <cstring>

#include "common/checked.h"
#include "common/error.h"
#include "kernels/ternary_layout.h"
#include "quantization/absmean.h"
#include "quantization/ternary.h"

namespace bitnet {
namespace {

constexpr std::int64_t row_unit = 16;  // rows that one thread takes at least: so few that nobody waits long for the last
constexpr std::int64_t blocks_per_thread = 4;  // of rows and tokens, at least, so that the last ones even out

// Of weights that int8 activations are multiplied with. Types with scales within a row come from models that were not trained
// so, unless the scales say that one for the tensor would have done.
std::optional<TernaryScales> int8_scales(const WeightTensor& weight) {
  std::optional<TernaryScales> scales = ternary_scales(weight.view, weight.name);
  const bool one_a_row = scales && scales->per == ScalePer::row && stored_per(weight.view.type) == ScalePer::row;
  const bool fits = scales && (scales->per == ScalePer::tensor || one_a_row);
  return fits ? std::move(scales) : std::nullopt;
}

}  // namespace

std::uint64_t Linear::bytes() const {
  std::uint64_t total = 0;
  for (const Part& part : parts_) total += part.bytes.size() + (part.scales.size() + part.input_norm.size()) * sizeof(float);
  return total;
}

void Linear::add(const WeightTensor& weight, ThreadPool& pool, std::vector<float> input_norm) {
  if (weight.absmean) {
    const Absmean absmean = find_absmean(weight.view, weight.name, pool);
    add_ternary(weight, {&absmean.scale, 1}, pool,
                [&](std::int64_t row, std::uint8_t* codes) { absmean_row(weight.view, absmean, row, codes); });
  } else if (const auto scales = int8_scales(weight)) {
    add_ternary(weight, scales->values, pool,
                [&](std::int64_t row, std::uint8_t* codes) { unpack_row(weight.view, weight.name, row, codes); });
  } else {
    add_dense(weight, pool);
  }
  parts_.back().input_norm = std::move(input_norm);
}

template <class CodesOf>
void Linear::add_ternary(const WeightTensor& weight, std::span<const float> scales, ThreadPool& pool, const CodesOf& codes_of) {
  const std::int64_t rows = weight.view.shape.rows();
  cols_ = weight.view.shape.cols();
  Part part;
  part.first_row = rows_, part.rows = rows, part.is_ternary = true;
  part.bytes = Buffer(static_cast<std::size_t>(ternary_lines_bytes(rows, cols_)));
  part.scales.assign(static_cast<std::size_t>(rows), scales.front());
  if (scales.size() > 1) part.scales.assign(scales.begin(), scales.end());
  for (float& scale : part.scales) scale *= weight.scale;
  auto* lines = part.bytes.as<std::uint8_t>();
  pool.split(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(cols_));
    for (std::int64_t r = begin; r < end; ++r) {
      codes_of(r, codes.data());
      pack_ternary_row(codes.data(), cols_, r, lines);
    }
  });
  part.ternary = {lines, part.scales.data(), rows, round_up(cols_, ternary_line_cols)};
  rows_ += rows;
  needs_quantised_ = true;
  parts_.push_back(std::move(part));
}

void Linear::add_dense(const WeightTensor& weight, ThreadPool& pool) {
  if (weight.scale != 1.0f)
    fail(ErrorKind::unsupported, "tensor '{}' is dense and has a scale of its own", printable(weight.name));
  const std::int64_t rows = weight.view.shape.rows();
  cols_ = weight.view.shape.cols();
  const auto row_bytes = static_cast<std::int64_t>(weight.view.bytes.size()) / rows;
  Part part;
  part.first_row = rows_, part.rows = rows;
  part.bytes = Buffer(weight.view.bytes.size());
  pool.split(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    std::memcpy(part.bytes.data() + begin * row_bytes, weight.view.bytes.data() + begin * row_bytes,
                static_cast<std::size_t>((end - begin) * row_bytes));
  });
  part.dense = {weight.view.type, part.bytes.data(), rows, cols_, row_bytes};
  rows_ += rows;
  needs_float_ = true;
  parts_.push_back(std::move(part));
}

void multiply_part(const Linear::Part& part, std::int64_t begin, std::int64_t end, const LinearInput& in, std::int64_t tokens,
                   float* y, std::int64_t y_stride, Compute& with, int thread) {
  if (begin >= end) return;
  std::byte* scratch = with.scratch[static_cast<std::size_t>(thread)].data();
  if (part.is_ternary) return with.kernels.ternary_matmul(part.ternary, begin, end, in.quantised, y, y_stride, scratch);
  with.kernels.dense_matmul(part.dense, begin, end, in.x, tokens, in.x_stride, y, y_stride, scratch);
}

namespace {

// Calls body(begin, end, token, count, thread) on pieces that together are all rows by all tokens, as the kernels like them: by
// rows, or where there is work enough for everybody in blocks of rows and tokens, so that blocks of the same rows come
// together.
template <class Body>
void share_out(std::int64_t rows, std::int64_t tokens, Compute& with, const Body& body) {
  const KernelTable& kernels = with.kernels;
  const std::int64_t wanted = blocks_per_thread * with.pool.threads();
  std::int64_t row_blocks = 0, token_blocks = 0;
  if (kernels.block_tokens > 0 && tokens >= kernels.block_tokens) {
    const std::int64_t fewest = ceil_div(rows, kernels.block_rows), most = std::max(fewest, 2 * rows / kernels.block_rows);
    token_blocks = ceil_div(tokens, kernels.block_tokens);
    row_blocks = std::clamp(ceil_div(wanted, token_blocks), fewest, most);
  }
  if (row_blocks * token_blocks < wanted) {
    return with.pool.balance(rows, row_unit,
                             [&](std::int64_t begin, std::int64_t end, int thread) { body(begin, end, 0, tokens, thread); });
  }
  with.pool.balance(row_blocks * token_blocks, 1, [&](std::int64_t first, std::int64_t last, int thread) {
    for (std::int64_t i = first; i < last; ++i) {
      const auto [begin, end] =
          ThreadPool::part(rows, row_unit, static_cast<int>(i / token_blocks), static_cast<int>(row_blocks));
      const std::int64_t token = i % token_blocks * kernels.block_tokens;
      body(begin, end, token, std::min(kernels.block_tokens, tokens - token), thread);
    }
  });
}

LinearInput tokens_of(const LinearInput& in, std::int64_t token, std::int64_t count) {
  const QuantisedRows& all = in.quantised;
  return {in.x + token * in.x_stride,
          in.x_stride,
          {all.q + token * all.cols, all.scales + token, all.sums + token, count, all.cols}};
}

}  // namespace

void multiply(const Linear::Part& part, const LinearInput& in, std::int64_t tokens, float* y, std::int64_t y_stride,
              Compute& with) {
  share_out(part.rows, tokens, with,
            [&](std::int64_t begin, std::int64_t end, std::int64_t token, std::int64_t count, int thread) {
              multiply_part(part, begin, end, tokens_of(in, token, count), count, y + token * y_stride, y_stride, with, thread);
            });
}

void multiply(const Linear& w, const LinearInput& in, std::int64_t tokens, float* y, std::int64_t y_stride, Compute& with) {
  share_out(
      w.rows(), tokens, with, [&](std::int64_t begin, std::int64_t end, std::int64_t token, std::int64_t count, int thread) {
        const LinearInput these = tokens_of(in, token, count);
        for (const Linear::Part& part : w.parts()) {
          multiply_part(part, std::max<std::int64_t>(begin - part.first_row, 0), std::min(end - part.first_row, part.rows),
                        these, count, y + token * y_stride + part.first_row, y_stride, with, thread);
        }
      });
}

}  // namespace bitnet
