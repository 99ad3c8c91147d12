// Plans and carries out the encoding of single weights.
#include "models/weight_encoding.h"

#include <algorithm>
#include <cmath>

#include "common/error.h"
#include "common/half.h"

namespace bitnet {
namespace {

constexpr std::size_t piece_bytes = 8u << 20;  // of a dense matrix, encoded

[[noreturn]] void refuse(const SourceWeight& weight, const std::string& clause) {
  fail(ErrorKind::usage, "tensor '{}': {}", printable(weight.name), clause);
}

// Does a type that is not ternary hold this value as it is?
bool holds(DataType type, float value) {
  switch (type) {
    case DataType::f32:
      return true;
    case DataType::f16:
      return f16_to_f32(f32_to_f16(value)) == value;
    case DataType::bf16:
      return (__builtin_bit_cast(std::uint32_t, value) & 0xffff) == 0;
    default:
      return false;
  }
}

bool is_plain(DataType type) { return type == DataType::f32 || type == DataType::f16 || type == DataType::bf16; }

bool holds_all(DataType type, const TernaryScales& scales) {
  return std::all_of(scales.values.begin(), scales.values.end(),
                     [&](float scale) { return info(type).ternary ? stored_scale(type, scale) == scale : holds(type, scale); });
}

WeightPlan plan_rounded(const SourceWeight& weight, Rounding rounding, WeightPlan plan) {
  if (rounding == Rounding::none) {
    refuse(weight, fmt::format("is {}, as {} it would be rounded; `bitnet quantize` does that", info(weight.view.type).name,
                               info(plan.tensor.type).name));
  }
  plan.how = WeightPlan::How::dense;
  return plan;
}

WeightPlan plan_ternary(const SourceWeight& weight, TernaryScales scales, Rounding rounding, WeightPlan plan) {
  const DataType type = plan.tensor.type;
  if (!info(type).ternary && !is_plain(type)) return plan_rounded(weight, rounding, std::move(plan));
  if (!holds_all(type, scales)) {
    if (scales.per != ScalePer::tensor) {
      refuse(weight, fmt::format("its scales, one a {}, do not fit {}", name_of(scales.per), info(type).name));
    }
    plan.companion = scales.values.front();
    scales.values.front() = 1;
  }
  plan.how = info(type).ternary ? WeightPlan::How::ternary : WeightPlan::How::dense;
  plan.scales = std::move(scales);
  return plan;
}

SourceWeight as_absmean(SourceWeight weight) {
  weight.absmean = true;
  return weight;
}

WeightPlan plan_dense(const SourceWeight& weight, Rounding rounding, ThreadPool& pool, WeightPlan plan) {
  const DataType from = weight.view.type, to = plan.tensor.type;
  if (weight.scale != 1) refuse(weight, "is dense and has a scale of its own, which is not supported");
  if (!info(to).ternary) {
    const bool widens = to == DataType::f32 && is_plain(from);
    return plan_rounded(weight, widens ? Rounding::dense : rounding, std::move(plan));
  }
  if (rounding != Rounding::absmean) {
    refuse(weight, fmt::format("is {} and not ternary; `bitnet quantize` makes it so", info(from).name));
  }
  plan.absmean = true;
  const SourceWeight ternarised = as_absmean(weight);
  return plan_ternary(weight, *WeightRows(ternarised, pool).scales(), rounding, std::move(plan));
}

}  // namespace

WeightPlan plan_weight(const SourceWeight& weight, DataType type, Rounding rounding, ThreadPool& pool,
                       const KernelConfig& tilings) {
  WeightPlan plan;
  plan.tensor = {weight.name, type, weight.view.shape};
  if (type == DataType::tl1 || type == DataType::tl2)
    plan.tiling = tilings.find(weight.view.shape.rows(), weight.view.shape.cols());
  if (type == weight.view.type && plan.tiling == weight.view.tiling && !weight.stored_row && !weight.absmean &&
      weight.added == 0) {
    if (weight.scale != 1) plan.companion = weight.scale;
    return plan;
  }
  const WeightRows rows(weight, pool);
  // Asked first: ternarising reads all of the matrix.
  const ScalePer per = rows.scales() ? rows.scales()->per : ScalePer::tensor;
  if (const auto clause = why_not(type, rows.rows(), rows.cols(), per, plan.tiling)) refuse(weight, *clause);
  return rows.scales() ? plan_ternary(weight, *rows.scales(), rounding, std::move(plan))
                       : plan_dense(weight, rounding, pool, std::move(plan));
}

WeightWriter::~WeightWriter() {
  if (writing_.valid()) writing_.wait();
}

void WeightWriter::finish() {
  if (!writing_.valid()) return;
  writing_.get();
  progress_(writing_bytes_);
}

std::vector<std::byte>& WeightWriter::next_buffer(std::size_t bytes) {
  current_ = 1 - current_;
  buffers_[current_].resize(bytes);
  return buffers_[current_];
}

void WeightWriter::start_writing(std::size_t index, std::uint64_t offset, const std::vector<std::byte>& buffer) {
  finish();
  writing_bytes_ = buffer.size();
  writing_ = std::async(std::launch::async, [this, index, offset, &buffer] { files_.write(index, offset, buffer); });
}

void WeightWriter::write(const SourceWeight& weight, const WeightPlan& plan, std::size_t index) {
  switch (plan.how) {
    case WeightPlan::How::copy:
      finish();
      return files_.copy(index, weight.view.bytes, *weight.map, progress_);
    case WeightPlan::How::ternary:
      return write_ternary(weight, plan, index);
    case WeightPlan::How::dense:
      return write_dense(weight, plan, index);
  }
}

void WeightWriter::write(std::size_t index, std::span<const std::byte> bytes) {
  files_.write(index, 0, bytes);
  progress_(bytes.size());
}

void WeightWriter::write_ternary(const SourceWeight& weight, const WeightPlan& plan, std::size_t index) {
  std::vector<std::byte>& out = next_buffer(static_cast<std::size_t>(files_.tensor_bytes(index)));
  const SourceWeight source = plan.absmean ? as_absmean(weight) : weight;
  const WeightRows rows(source, pool_);
  const auto unpack = [&rows](std::int64_t row, std::uint8_t* codes) { rows.codes(row, codes); };
  encode_ternary(plan.tensor.type, {weight.name, rows.rows(), rows.cols(), *plan.scales, unpack}, pool_, out, plan.tiling);
  weight.map->discard(weight.view.bytes);
  start_writing(index, 0, out);
}

void WeightWriter::write_dense(const SourceWeight& weight, const WeightPlan& plan, std::size_t index) {
  const WeightRows rows(weight, pool_);
  // Values divided by a companion are -1, 0 and 1: exact.
  const float divisor = plan.companion.value_or(1);
  const std::size_t row_bytes = files_.tensor_bytes(index) / static_cast<std::size_t>(rows.rows());
  const auto step = static_cast<std::int64_t>(std::max<std::size_t>(1, piece_bytes / row_bytes));
  for (std::int64_t first = 0; first < rows.rows(); first += step) {
    const std::int64_t count = std::min(step, rows.rows() - first);
    std::vector<std::byte>& out = next_buffer(static_cast<std::size_t>(count) * row_bytes);
    pool_.split(count, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> values(static_cast<std::size_t>(rows.cols()));
      for (std::int64_t i = begin; i < end; ++i) {
        rows.values(first + i, values.data());
        for (float& value : values) value /= divisor;
        encode_dense_row(plan.tensor.type, weight.name, first + i, values,
                         std::span(out).subspan(static_cast<std::size_t>(i) * row_bytes, row_bytes));
      }
    });
    start_writing(index, static_cast<std::uint64_t>(first) * row_bytes, out);
  }
  weight.map->discard(weight.view.bytes);
}

}  // namespace bitnet
