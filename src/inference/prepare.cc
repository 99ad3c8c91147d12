// Turns the tensors of a model file into the kernels' form, one after the other, letting the file's pages go.
#include "inference/prepare.h"

#include "common/error.h"
#include "kernels/elementary.h"

namespace bitnet {
namespace {

DenseMatrix stored_matrix(const WeightTensor& weight) {
  const Shape& shape = weight.view.shape;
  const std::int64_t row_bytes = static_cast<std::int64_t>(weight.view.bytes.size()) / shape.rows();
  return {weight.view.type, weight.view.bytes.data(), shape.rows(), shape.cols(), row_bytes};
}

class Preparation {
 public:
  Preparation(Model& model, const KernelTable& kernels, ThreadPool& pool,
              const std::function<void(std::uint64_t, std::uint64_t)>& progress)
      : model_(model), kernels_(kernels), pool_(pool), progress_(progress), total_(model.tensor_bytes()) {}

  void add(Linear& linear, const WeightTensor& weight, const std::optional<WeightTensor>& input_norm) {
    linear.add(weight, pool_, vector(input_norm));
    finish(weight);
  }

  std::vector<float> vector(const std::optional<WeightTensor>& weight) {
    if (!weight) return {};
    std::vector<float> values(static_cast<std::size_t>(weight->view.shape.elements()));
    scalar_table().decode(weight->view.type, weight->view.bytes.data(), weight->view.shape.elements(), values.data());
    for (float& value : values) value += weight->added;
    finish(*weight);
    return values;
  }

  // Of the head, also what finds its highest rows.
  RowTable table(const WeightTensor& weight, HeadScan* scan) {
    RowTable table(weight, model_.map_of(weight), pool_);
    if (scan != nullptr) *scan = HeadScan(stored_matrix(weight), kernels_, pool_);
    finish(weight);
    return table;
  }

 private:
  void finish(const WeightTensor& weight) {
    model_.discard(weight);
    done_ += weight.view.bytes.size();
    if (progress_) progress_(done_, total_);
  }

  Model& model_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  const std::function<void(std::uint64_t, std::uint64_t)>& progress_;
  std::uint64_t done_ = 0, total_;
};

std::vector<float> rope_inverse(float theta, std::int64_t rope_dim) {
  std::vector<float> inverse(static_cast<std::size_t>(rope_dim / 2));
  rope_inverse_frequencies(static_cast<double>(theta), rope_dim, inverse.data());
  return inverse;
}

// Inverse frequencies, divided by the config's factor for each (Llama 3.1) or by one linear factor.
std::vector<float> rope_inverse(const ModelConfig& config) {
  const std::vector<float>& divisors = config.rope_divisors;
  std::vector<float> inverse = rope_inverse(config.rope_theta, config.rope_dim);
  for (std::size_t i = 0; i < inverse.size(); ++i) {
    if (!divisors.empty()) inverse[i] /= divisors[i];
    inverse[i] /= config.rope_linear_factor;
  }
  return inverse;
}

PreparedLayer prepare_layer(Preparation& preparation, const LayerTensors& tensors) {
  PreparedLayer layer;
  layer.attn_norm = preparation.vector(tensors.attn_norm);
  preparation.add(layer.qkv, tensors.attn_q, tensors.attn_q_norm_in);
  preparation.add(layer.qkv, tensors.attn_k, tensors.attn_k_norm_in);
  preparation.add(layer.qkv, tensors.attn_v, tensors.attn_v_norm_in);
  layer.q_norm = preparation.vector(tensors.attn_q_norm);
  layer.k_norm = preparation.vector(tensors.attn_k_norm);
  layer.attn_sub_norm = preparation.vector(tensors.attn_sub_norm);
  preparation.add(layer.attn_output, tensors.attn_output, tensors.attn_output_norm_in);
  layer.post_attn_norm = preparation.vector(tensors.post_attention_norm);
  layer.ffn_norm = preparation.vector(tensors.ffn_norm);
  preparation.add(layer.gate_up, tensors.ffn_gate, tensors.ffn_gate_norm_in);
  preparation.add(layer.gate_up, tensors.ffn_up, tensors.ffn_up_norm_in);
  layer.ffn_sub_norm = preparation.vector(tensors.ffn_sub_norm);
  preparation.add(layer.ffn_down, tensors.ffn_down, tensors.ffn_down_norm_in);
  layer.post_ffn_norm = preparation.vector(tensors.post_ffw_norm);
  return layer;
}

// For squared ReLU, whose hidden values are mostly zero, and only while all weights take no more memory than the file has
// bytes.
void turn_downs_over(PreparedModel& model, std::uint64_t file_bytes, ThreadPool& pool) {
  if (model.config.activation != Activation::relu2 || model.config.input_norms || model.config.post_norms) return;
  std::uint64_t down_bytes = 0;
  for (const PreparedLayer& layer : model.layers) down_bytes += layer.ffn_down.bytes();
  if (model.bytes() + down_bytes > file_bytes) return;
  for (PreparedLayer& layer : model.layers) {
    if (auto turned = turn_over(layer.ffn_down, pool)) layer.down_columns = *std::move(turned);
  }
}

}  // namespace

std::uint64_t PreparedModel::bytes() const {
  std::uint64_t total = token_embd.resident_bytes() + output.resident_bytes() + output_norm.size() * sizeof(float);
  if (head_scan.usable()) total += head_scan.bytes();
  for (const PreparedLayer& layer : layers) {
    for (const Linear* linear : {&layer.qkv, &layer.attn_output, &layer.gate_up, &layer.ffn_down}) total += linear->bytes();
    total += layer.down_columns.lines.size();
    for (const auto* norm : {&layer.attn_norm, &layer.attn_sub_norm, &layer.ffn_norm, &layer.ffn_sub_norm, &layer.q_norm,
                             &layer.k_norm, &layer.post_attn_norm, &layer.post_ffn_norm})
      total += norm->size() * sizeof(float);
  }
  return total;
}

std::uint64_t PreparedModel::down_columns_bytes() const {
  std::uint64_t total = 0;
  for (const PreparedLayer& layer : layers) total += layer.down_columns.lines.size();
  return total;
}

PreparedModel prepare(Model& model, const KernelTable& kernels, ThreadPool& pool,
                      const std::function<void(std::uint64_t, std::uint64_t)>& progress, bool scans_head) {
  Preparation preparation(model, kernels, pool, progress);
  PreparedModel prepared;
  prepared.config = model.config();
  prepared.rope_inverse = rope_inverse(prepared.config);
  if (prepared.config.window > 0) {
    prepared.window_rope_inverse = rope_inverse(prepared.config.window_rope_theta, prepared.config.rope_dim);
  }
  HeadScan* scan = scans_head ? &prepared.head_scan : nullptr;
  prepared.token_embd = preparation.table(model.token_embd(), model.output() ? nullptr : scan);
  if (model.output()) prepared.output = preparation.table(*model.output(), scan);
  prepared.output_norm = preparation.vector(model.output_norm());
  for (const LayerTensors& tensors : model.layers()) prepared.layers.push_back(prepare_layer(preparation, tensors));
  turn_downs_over(prepared, model.files().bytes(), pool);
  return prepared;
}

}  // namespace bitnet
