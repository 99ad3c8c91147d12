// Lists a model's weights with their companion scales, and reads their rows.
#include "models/source_model.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "common/error.h"
#include "kernels/dispatch.h"
#include "models/config_metadata.h"

namespace bitnet {
namespace {

constexpr std::string_view weight_suffix = ".weight", scale_suffix = ".scale";

std::string_view without(std::string_view name, std::string_view suffix) { return name.substr(0, name.size() - suffix.size()); }

float read_companion(const StoredTensor& tensor, const std::string& path) {
  if (tensor.data_type != DataType::f32 || tensor.shape.elements() != 1) {
    fail(ErrorKind::bad_model, "{}: tensor '{}' is {} of shape {}, it must be one F32", printable(path, 512),
         printable(tensor.name), tensor.type, tensor.shape.text());
  }
  const float scale = Cursor(tensor.bytes, path).number<float>("scale");
  if (!std::isfinite(scale)) {
    fail(ErrorKind::bad_model, "{}: tensor '{}' is not finite", printable(path, 512), printable(tensor.name));
  }
  return scale;
}

bool may_have_companion(WeightRole role) { return role == WeightRole::projection || role == WeightRole::head; }

// NAME.scale of a weight NAME.weight that may have one: it is read with the weight.
bool is_companion(const ModelFiles& files, std::string_view name) {
  if (!name.ends_with(scale_suffix)) return false;
  const std::string weight = std::string(without(name, scale_suffix)) + std::string(weight_suffix);
  return may_have_companion(weight_role(weight)) && files.find(weight) != nullptr;
}

// All of a GGUF file, in its order.
void add_stored(SourceModel& source) {
  const ModelFiles& files = source.model.files();
  for (const StoredTensor& tensor : files.tensors()) {
    if (is_companion(files, tensor.name)) continue;
    SourceWeight weight{std::string(tensor.name), weight_role(tensor.name), tensor.view()};
    weight.map = &files.map(tensor.file);
    if (may_have_companion(weight.role)) {
      const std::string name = std::string(without(tensor.name, weight_suffix)) + std::string(scale_suffix);
      if (const StoredTensor* companion = files.find(name)) weight.scale = read_companion(*companion, files.path());
    }
    source.weights.push_back(std::move(weight));
  }
}

// GGUF files of such models have the two halves of a rotated pair side by side, folders half a head apart.
std::function<std::int64_t(std::int64_t)> halves_together(std::int64_t head_dim) {
  return [head_dim](std::int64_t row) {
    const std::int64_t in_head = row % head_dim;
    return row - in_head + in_head % 2 * (head_dim / 2) + in_head / 2;
  };
}

void add_part(SourceModel& source, const std::string& name, const WeightTensor& tensor) {
  SourceWeight weight{name, weight_role(name), tensor.view, tensor.scale, tensor.absmean};
  weight.added = tensor.added;
  weight.map = &source.model.map_of(tensor);
  const bool rotated = name.ends_with(".attn_q.weight") || name.ends_with(".attn_k.weight");
  if (rotated && find_architecture(source.config().architecture)->rope_kind == RopeKind::norm) {
    weight.stored_row = halves_together(source.config().head_dim);
  }
  source.weights.push_back(std::move(weight));
}

void add_part(SourceModel& source, const std::string& name, const std::optional<WeightTensor>& tensor) {
  if (tensor) add_part(source, name, *tensor);
}

// A folder's, in the order of llama.cpp's converter.
void add_parts(SourceModel& source) {
  const Model& model = source.model;
  add_part(source, "token_embd.weight", model.token_embd());
  for (std::size_t i = 0; i < model.layers().size(); ++i) {
    const LayerTensors& t = model.layers()[i];
    const auto add = [&](const char* part, const auto& tensor) {
      add_part(source, fmt::format("blk.{}.{}.weight", i, part), tensor);
    };
    add("attn_norm", t.attn_norm), add("attn_q", t.attn_q), add("attn_k", t.attn_k), add("attn_v", t.attn_v);
    add("attn_sub_norm", t.attn_sub_norm), add("attn_output", t.attn_output), add("ffn_norm", t.ffn_norm);
    add("ffn_gate", t.ffn_gate), add("ffn_up", t.ffn_up), add("ffn_sub_norm", t.ffn_sub_norm), add("ffn_down", t.ffn_down);
    add("attn_q_norm", t.attn_q_norm), add("attn_k_norm", t.attn_k_norm);
    add("post_attention_norm", t.post_attention_norm), add("post_ffw_norm", t.post_ffw_norm);
    add("attn_q_norm_in", t.attn_q_norm_in), add("attn_k_norm_in", t.attn_k_norm_in), add("attn_v_norm_in", t.attn_v_norm_in);
    add("attn_output_norm_in", t.attn_output_norm_in), add("ffn_gate_norm_in", t.ffn_gate_norm_in);
    add("ffn_up_norm_in", t.ffn_up_norm_in), add("ffn_down_norm_in", t.ffn_down_norm_in);
  }
  add_part(source, "output_norm.weight", model.output_norm());
  add_part(source, "output.weight", model.output());
}

}  // namespace

WeightRole weight_role(std::string_view name) {
  static constexpr std::array<std::string_view, 7> projections = {"attn_q.weight",      "attn_k.weight",   "attn_v.weight",
                                                                  "attn_output.weight", "ffn_gate.weight", "ffn_up.weight",
                                                                  "ffn_down.weight"};
  if (name == "token_embd.weight") return WeightRole::embedding;
  if (name == "output.weight") return WeightRole::head;
  if (!name.starts_with("blk.")) return WeightRole::other;
  const std::string_view part = name.substr(std::min(name.size(), name.find('.', 4) + 1));
  const bool projection = std::find(projections.begin(), projections.end(), part) != projections.end();
  return projection ? WeightRole::projection : WeightRole::other;
}

const SourceWeight* SourceModel::find(std::string_view name) const {
  const auto found = std::find_if(weights.begin(), weights.end(), [&](const SourceWeight& w) { return w.name == name; });
  return found == weights.end() ? nullptr : &*found;
}

const SourceWeight* SourceModel::find(WeightRole role) const {
  const auto found = std::find_if(weights.begin(), weights.end(), [&](const SourceWeight& w) { return w.role == role; });
  return found == weights.end() ? nullptr : &*found;
}

SourceModel open_source(const std::string& path) {
  SourceModel source{Model::open(path), {}, {}};
  if (source.is_folder()) {
    source.metadata = gguf_metadata(source.config());
    add_parts(source);
    return source;
  }
  for (const GgufEntry& entry : source.model.files().gguf()->entries()) {
    if (!entry.key.starts_with("split.")) source.metadata.copy(entry);
  }
  add_stored(source);
  return source;
}

WeightRows::WeightRows(const SourceWeight& weight, ThreadPool& pool) : weight_(weight) {
  if (weight.absmean) {
    absmean_ = find_absmean(weight.view, weight.name, pool);
    scales_ = TernaryScales{ScalePer::tensor, {absmean_->scale}};
  } else if (weight.role == WeightRole::projection || info(weight.view.type).ternary) {
    // Another matrix may look ternary by chance only, and asking would read all of it.
    scales_ = ternary_scales(weight.view, weight.name);
  }
  if (!scales_) return;
  for (float& scale : scales_->values) scale *= weight.scale;
}

float WeightRows::scale_at(std::int64_t row, std::int64_t col) const {
  const std::int64_t each = scales_per_row(scales_->per, cols());
  const std::int64_t index = each == 0 ? 0 : row * each + col / (cols() / each);
  return scales_->values[static_cast<std::size_t>(index)];
}

void WeightRows::codes(std::int64_t row, std::uint8_t* out) const {
  if (absmean_) return absmean_row(weight_.view, *absmean_, stored(row), out);
  unpack_row(weight_.view, weight_.name, stored(row), out);
}

void WeightRows::values(std::int64_t row, float* out) const {
  if (!scales_) {
    static const KernelTable& kernels = select_kernels();
    const auto row_bytes = static_cast<std::int64_t>(weight_.view.bytes.size()) / rows();
    kernels.decode(weight_.view.type, weight_.view.bytes.data() + stored(row) * row_bytes, cols(), out);
    for (std::int64_t i = 0; i < cols() && weight_.added != 0; ++i) out[i] += weight_.added;
    return;
  }
  std::vector<std::uint8_t> c(static_cast<std::size_t>(cols()));
  codes(row, c.data());
  const std::int64_t each = scales_per_row(scales_->per, cols()), run = each == 0 ? cols() : cols() / each;
  for (std::int64_t at = 0; at < cols(); at += run) {
    const float scale = scale_at(row, at);
    for (std::int64_t i = at; i < at + run; ++i) out[i] = static_cast<float>(c[static_cast<std::size_t>(i)] - 1) * scale;
  }
}

}  // namespace bitnet
