// The scalar table.
#include "kernels/scalar/ops.h"

namespace bitnet {

const KernelTable& scalar_table() {
  static constexpr KernelTable table = {
      .name = "scalar",
      .block_tokens = 0,
      .block_rows = 0,
      .rms_norm = scalar::rms_norm,
      .quantise = scalar::quantise,
      .rms_norm_quantise = scalar::rms_norm_quantise,
      .ternary_matmul = scalar::ternary_matmul,
      .ternary_rows = scalar::ternary_rows,
      .ternary_combine = scalar::ternary_combine,
      .dense_matmul = scalar::dense_matmul,
      .six_bit_scan = scalar::six_bit_scan,
      .quantisation_error = scalar::quantisation_error,
      .decode = scalar::decode,
      .rope = scalar::rope,
      .kv_store = scalar::kv_store,
      .attend = scalar::attend,
      .merge_states = scalar::merge_states,
      .gate = scalar::gate,
      .add = scalar::add,
      .scale = scalar::scale,
      .softmax = scalar::softmax,
  };
  return table;
}

}  // namespace bitnet
