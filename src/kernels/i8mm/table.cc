// The NEON table with ternary matmul by matrix instructions.
#include "kernels/i8mm/ops.h"

namespace bitnet {

const KernelTable& i8mm_table() {
  static const KernelTable table = [] {
    KernelTable t = neon_table();
    t.name = "i8mm";
    t.ternary_matmul = i8mm::ternary_matmul;
    t.ternary_rows = i8mm::ternary_rows;
    return t;
  }();
  return table;
}

}  // namespace bitnet
