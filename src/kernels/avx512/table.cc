// The AVX2 table with what 512 bits and VNNI do faster.
#include "kernels/avx512/ops.h"

namespace bitnet {

const KernelTable& avx512_table() {
  static const KernelTable table = [] {
    KernelTable t = avx2_table();
    t.name = "avx512";
    t.block_tokens = t.block_rows = 0;
    t.ternary_matmul = avx512::ternary_matmul;
    t.ternary_rows = avx512::ternary_rows;
    t.ternary_combine = avx512::ternary_combine;
    t.six_bit_scan = avx512::six_bit_scan;
    t.attend = avx512::attend;
    t.merge_states = avx512::merge_states;
    return t;
  }();
  return table;
}

}  // namespace bitnet
