// The NEON table with ternary matmul by dot product instructions.
#include "kernels/dotprod/ops.h"

namespace bitnet {

const KernelTable& dotprod_table() {
  static const KernelTable table = [] {
    KernelTable t = neon_table();
    t.name = "dotprod";
    t.ternary_matmul = dotprod::ternary_matmul;
    t.ternary_rows = dotprod::ternary_rows;
    return t;
  }();
  return table;
}

}  // namespace bitnet
