// Renames, checks and completes a planned GGUF file for llama.cpp.
#include "models/llama_cpp_form.h"

#include <algorithm>

#include "common/error.h"

namespace bitnet {
namespace {

constexpr std::string_view known_family = "bitnet";

bool is_2b_4t(std::string_view architecture) { return architecture == "bitnet-b1.58" || architecture == "bitnet-25"; }

// Types of ours that llama.cpp has under the same number.
bool is_known(DataType type) {
  switch (type) {
    case DataType::f32:
    case DataType::f16:
    case DataType::bf16:
    case DataType::tq1_0:
    case DataType::tq2_0:
    case DataType::q8_0:
    case DataType::q4_0:
    case DataType::q4_1:
    case DataType::q5_0:
    case DataType::q5_1:
    case DataType::q4_k:
    case DataType::q5_k:
    case DataType::q6_k:
      return true;
    default:
      return false;
  }
}

[[noreturn]] void refuse(const std::string& tensor, const std::string& fact) {
  fail(ErrorKind::usage, "--llama-cpp: tensor '{}' {}", printable(tensor), fact);
}

// llama.cpp takes the embedding for the head of this family and stops at a tensor that it does not ask for.
void drop_copy_of_embedding(const SourceModel& source, ConversionPlan& plan) {
  const SourceWeight *embedding = source.find(WeightRole::embedding), *head = source.find(WeightRole::head);
  if (head == nullptr) return;
  const bool same = embedding != nullptr && embedding->view.type == head->view.type && head->scale == 1 &&
                    std::ranges::equal(embedding->view.bytes, head->view.bytes);
  if (!same) refuse(head->name, "is a head of its own, llama.cpp takes the embedding for this architecture");
  const auto at = std::find_if(plan.items.begin(), plan.items.end(),
                               [&](const ConversionPlan::Item& item) { return &source.weights[item.weight] == head; });
  plan.tensors.erase(plan.tensors.begin() + static_cast<std::ptrdiff_t>(at->tensor));
  for (ConversionPlan::Item& item : plan.items) item.tensor -= item.tensor > at->tensor ? 1 : 0;
  plan.items.erase(at);
}

}  // namespace

void adapt_to_llama_cpp(const SourceModel& source, ConversionPlan& plan) {
  const bool renamed = is_2b_4t(source.config().architecture);
  const bool scales = renamed || source.config().architecture == known_family;
  if (scales) drop_copy_of_embedding(source, plan);
  for (const ConversionPlan::Item& item : plan.items) {
    const DataType type = item.plan.tensor.type;
    if (!is_known(type)) {
      refuse(item.plan.tensor.name,
             fmt::format("would be {}, which llama.cpp does not read; --type TQ2_0 or TQ1_0 it does", info(type).name));
    }
    if (item.plan.companion && !scales) {
      refuse(item.plan.tensor.name,
             fmt::format("has the scale {}, which {} cannot hold, and llama.cpp does not apply one "
                         "beside it for architecture {}",
                         *item.plan.companion, info(type).name, printable(source.config().architecture)));
    }
  }
  GgufMetadata& metadata = plan.metadata;
  if (renamed) {
    metadata.rename_prefix(source.config().architecture + ".", std::string(known_family) + ".");
    metadata.text("general.architecture", known_family);
    if (!metadata.has("bitnet.hidden_activation")) metadata.text("bitnet.hidden_activation", "relu2");
  }
  if (!metadata.has("tokenizer.ggml.model")) metadata.text("tokenizer.ggml.model", "no_vocab");
  // What files without the key mean by it: the 2B-4T's was trained with Llama 3's.
  if (renamed && !metadata.has("tokenizer.ggml.pre") && metadata.has("tokenizer.ggml.merges")) {
    metadata.text("tokenizer.ggml.pre", "llama-bpe");
  }
}

}  // namespace bitnet
