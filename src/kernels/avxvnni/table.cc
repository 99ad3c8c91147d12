// The AVX2 table with ternary matmul by vpdpbusd.
#include "kernels/avxvnni/ops.h"

namespace bitnet {

const KernelTable& avxvnni_table() {
  static const KernelTable table = [] {
    KernelTable t = avx2_table();
    t.name = "avxvnni";
    t.ternary_matmul = avxvnni::ternary_matmul;
    t.ternary_rows = avxvnni::ternary_rows;
    return t;
  }();
  return table;
}

}  // namespace bitnet
