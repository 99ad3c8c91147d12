// The NEON table.
#include "kernels/neon/ops.h"
#include "kernels/scalar/ops.h"

namespace bitnet {

const KernelTable& neon_table() {
  static constexpr KernelTable table = {
      .name = "neon",
      .block_tokens = 0,
      .block_rows = 0,
      .rms_norm = neon::rms_norm,
      .quantise = neon::quantise,
      .rms_norm_quantise = neon::rms_norm_quantise,
      .ternary_matmul = neon::ternary_matmul,
      .ternary_rows = neon::ternary_rows,
      .ternary_combine = neon::ternary_combine,
      .dense_matmul = neon::dense_matmul,
      .six_bit_scan = neon::six_bit_scan,
      .quantisation_error = scalar::quantisation_error,
      .decode = neon::decode,
      .rope = neon::rope,
      .kv_store = neon::kv_store,
      .attend = neon::attend,
      .merge_states = neon::merge_states,
      .gate = neon::gate,
      .add = neon::add,
      .scale = neon::scale,
      .softmax = neon::softmax,
  };
  return table;
}

}  // namespace bitnet
