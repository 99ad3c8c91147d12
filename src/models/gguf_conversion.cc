// Plans a GGUF file with other types, and writes its tensors.
#include "models/gguf_conversion.h"

#include <array>

#include "common/error.h"

namespace bitnet {
namespace {

constexpr std::string_view weight_suffix = ".weight", scale_suffix = ".scale";

std::string companion_name(std::string_view weight) {
  return std::string(weight.substr(0, weight.size() - weight_suffix.size())) + std::string(scale_suffix);
}

// llama.cpp's llama_ftype of a file whose projections have this type; ids from 100 on are ik_llama.cpp's.
std::optional<std::uint32_t> file_type(DataType type) {
  switch (type) {
    case DataType::f32:
      return 0;
    case DataType::f16:
      return 1;
    case DataType::bf16:
      return 32;
    case DataType::q4_0:
      return 2;
    case DataType::q8_0:
      return 7;
    case DataType::q6_k:
      return 18;
    case DataType::tq1_0:
      return 36;
    case DataType::tq2_0:
      return 37;
    case DataType::i2_s:
      return 40;
    default:
      return std::nullopt;
  }
}

// In a GGUF file: what only folders have becomes I2_S, and full precision that stands for ternary weights, too.
DataType stored_type(const SourceWeight& weight) {
  return weight.view.type == DataType::hf_packed || weight.absmean ? DataType::i2_s : weight.view.type;
}

DataType wanted_type(const SourceWeight& weight, const ConversionOptions& options, bool from_folder) {
  switch (weight.role) {
    case WeightRole::projection:
      return options.projections.value_or(stored_type(weight));
    case WeightRole::embedding:
    case WeightRole::head:
      return options.embedding.value_or(weight.view.type);
    case WeightRole::other:
      break;
  }
  // llama.cpp wants norms in F32.
  return from_folder ? DataType::f32 : weight.view.type;
}

void add_item(ConversionPlan& plan, const SourceModel& source, std::size_t index, const ConversionOptions& options,
              ThreadPool& pool) {
  const SourceWeight& weight = source.weights[index];
  const Rounding rounding = weight.role == WeightRole::projection ? options.rounding : Rounding::dense;
  WeightPlan item = plan_weight(weight, wanted_type(weight, options, source.is_folder()), rounding, pool, options.tilings);
  plan.items.push_back({index, item, plan.tensors.size()});
  plan.tensors.push_back(item.tensor);
  if (item.companion) plan.tensors.push_back({companion_name(weight.name), DataType::f32, {{1}}});
}

}  // namespace

ConversionPlan plan_conversion(const SourceModel& source, const ConversionOptions& options, ThreadPool& pool) {
  ConversionPlan plan;
  plan.metadata = source.metadata;
  for (std::size_t i = 0; i < source.weights.size(); ++i) add_item(plan, source, i, options, pool);
  if (options.projections && plan.metadata.has("general.file_type")) {
    const auto type = file_type(*options.projections);
    type ? plan.metadata.u32("general.file_type", *type) : plan.metadata.remove("general.file_type");
  }
  return plan;
}

void carry_out(const SourceModel& source, const ConversionPlan& plan, TensorFiles& files, ThreadPool& pool,
               const ByteProgress& progress) {
  WeightWriter writer(files, pool, progress);
  for (const ConversionPlan::Item& item : plan.items) {
    writer.write(source.weights[item.weight], item.plan, item.tensor);
    if (!item.plan.companion) continue;
    const auto bits = __builtin_bit_cast(std::uint32_t, *item.plan.companion);
    std::array<std::byte, 4> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(bits >> (8 * i));
    writer.write(item.tensor + 1, bytes);
  }
  writer.finish();
}

}  // namespace bitnet
