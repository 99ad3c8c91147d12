// Looks tensors up, compares their shapes, and reads the scales beside them.
#include "models/tensor_finder.h"

#include "common/error.h"
#include "kernels/kernel_table.h"
#include "quantization/ternary.h"

namespace bitnet {

TensorFinder::TensorFinder(const ModelFiles& files, const WeightRule& rule)
    : files_(files), names_(files), rule_(rule), used_(files.tensors().size()) {}

void TensorFinder::bad(std::string_view part, const std::string& fact) const {
  fail(ErrorKind::bad_model, "{}: tensor '{}' {}", printable(files_.path(), 512), printable(names_.stored(part)), fact);
}

const StoredTensor* TensorFinder::find(std::string_view part) const { return files_.find(names_.stored(part)); }

WeightTensor TensorFinder::require(std::string_view part, const Shape& shape) {
  const StoredTensor* tensor = find(part);
  if (tensor == nullptr) bad(part, "is missing");
  used_[static_cast<std::size_t>(tensor - files_.tensors().data())] = true;
  if (tensor->shape != shape) {
    bad(part, fmt::format("has shape {}, the config asks for {}", tensor->shape.text(), shape.text()));
  }
  if (!tensor->data_type) bad(part, fmt::format("is {}, which is not supported there", tensor->type));
  return {.name = std::string(tensor->name), .view = tensor->view(), .file = tensor->file};
}

WeightTensor TensorFinder::vector(std::string_view part, std::int64_t size) {
  const WeightTensor weight = require(part, {{size}});
  const DataType type = weight.view.type;
  if (type != DataType::f32 && type != DataType::f16 && type != DataType::bf16) {
    bad(part, fmt::format("is {}, it must be F32, F16 or BF16", info(type).name));
  }
  return weight;
}

WeightTensor TensorFinder::norm(std::string_view part, std::int64_t size) {
  WeightTensor weight = vector(part, size);
  if (rule_.norms_from_one) weight.added = 1;
  return weight;
}

WeightTensor TensorFinder::projection(const std::string& base, std::int64_t rows, std::int64_t cols) {
  const std::string part = base + ".weight", scale = base + ".scale";
  const StoredTensor* stored = find(part);
  const bool is_packed = stored != nullptr && stored->type == "U8";
  WeightTensor weight = is_packed ? packed(part, rows, cols) : require(part, {{rows, cols}});
  weight.absmean = rule_.absmean && !is_packed;
  check_tail_scale(part, weight);
  if (find(scale) == nullptr) {
    if (is_packed) bad(scale, "is missing");
    return weight;
  }
  weight.scale = companion_scale(scale);
  if (rule_.divides) weight.scale = 1.0f / weight.scale;
  if (!(weight.scale > -1e30f && weight.scale < 1e30f)) {
    bad(scale, fmt::format("stands for {}, it must be finite and at most 1e30", weight.scale));
  }
  return weight;
}

// Four rows share a byte: what is stored is (rows / 4, cols).
WeightTensor TensorFinder::packed(const std::string& part, std::int64_t rows, std::int64_t cols) {
  if (!rule_.may_be_packed) {
    bad(part, "is packed as U8, but no quantization_config with quantization_mode offline says what its scale stands for");
  }
  if (rows % 4 != 0) bad(part, fmt::format("is packed as U8, which {} rows cannot be: they are no multiple of 4", rows));
  const StoredTensor& stored = *find(part);
  const Shape shape{{rows / 4, cols}};
  if (stored.shape != shape) {
    bad(part, fmt::format("has shape {}, the config asks for {}", stored.shape.text(), shape.text()));
  }
  used_[static_cast<std::size_t>(&stored - files_.tensors().data())] = true;
  return {
      .name = std::string(stored.name), .view = {DataType::hf_packed, {{rows, cols}}, stored.bytes, {}}, .file = stored.file};
}

// bitnet.cpp keeps the scale of TL1 and TL2 behind the codes. A NAME_scale beside the tensor must not say otherwise.
void TensorFinder::check_tail_scale(const std::string& part, const WeightTensor& weight) {
  const bool tiled = weight.view.type == DataType::tl1 || weight.view.type == DataType::tl2;
  if (!tiled || files_.find(weight.name + "_scale") == nullptr) return;
  const float beside = companion_scale(part + "_scale"), behind = ternary_scales(weight.view, weight.name)->values.front();
  if (beside != behind)
    bad(part, fmt::format("has the scale {} behind its codes, {}_scale is {}", behind, weight.name, beside));
}

// One float, F32 in GGUF files.
float TensorFinder::companion_scale(const std::string& part) {
  const StoredTensor& stored = *find(part);
  const bool is_scalar = stored.shape.dims.empty();
  const TensorView view = require(part, is_scalar ? Shape{} : Shape{{1}}).view;
  const bool is_float = view.type == DataType::f32 || view.type == DataType::f16 || view.type == DataType::bf16;
  if (files_.gguf() != nullptr ? view.type != DataType::f32 : !is_float) {
    bad(part, fmt::format("is {}, it must be F32{}", info(view.type).name, files_.gguf() != nullptr ? "" : ", F16 or BF16"));
  }
  float scale = 0;
  scalar_table().decode(view.type, view.bytes.data(), 1, &scale);
  if (!(scale > -1e30f && scale < 1e30f)) bad(part, fmt::format("is {}, it must be finite and at most 1e30", scale));
  return scale;
}

void TensorFinder::refuse_unused(std::string_view architecture) const {
  for (std::size_t i = 0; i < used_.size(); ++i) {
    const StoredTensor& tensor = files_.tensors()[i];
    if (used_[i] || TensorNames::is_without_effect(tensor.name)) continue;
    fail(ErrorKind::unsupported, "{}: tensor '{}' is not a part of architecture {}", printable(files_.path(), 512),
         printable(tensor.name), architecture);
  }
}

}  // namespace bitnet
