// The AVX2 table.
#include "kernels/avx2/ops.h"

namespace bitnet {

const KernelTable& avx2_table() {
  static constexpr KernelTable table = {
      .name = "avx2",
      .block_tokens = avx2::sum_table_tokens,
      .block_rows = avx2::sum_table_rows,
      .rms_norm = avx2::rms_norm,
      .quantise = avx2::quantise,
      .rms_norm_quantise = avx2::rms_norm_quantise,
      .ternary_matmul = avx2::ternary_matmul,
      .ternary_rows = avx2::ternary_rows,
      .ternary_combine = avx2::ternary_combine,
      .dense_matmul = avx2::dense_matmul,
      .six_bit_scan = avx2::six_bit_scan,
      .quantisation_error = avx2::quantisation_error,
      .decode = avx2::decode,
      .rope = avx2::rope,
      .kv_store = avx2::kv_store,
      .attend = avx2::attend,
      .merge_states = avx2::merge_states,
      .gate = avx2::gate,
      .add = avx2::add,
      .scale = avx2::scale,
      .softmax = avx2::softmax,
  };
  return table;
}

}  // namespace bitnet
