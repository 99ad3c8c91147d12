// The AVX2 table with ternary matmul by vpdpbusd on 512 bits.
#include "kernels/avx512/ops.h"

namespace bitnet {

const KernelTable& avx512_table() {
  static const KernelTable table = [] {
    KernelTable t = avx2_table();
    t.name = "avx512";
    t.ternary_matmul = avx512::ternary_matmul;
    t.ternary_rows = avx512::ternary_rows;
    return t;
  }();
  return table;
}

}  // namespace bitnet
