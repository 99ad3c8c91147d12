// Shape's arithmetic and text form.
#include "common/shape.h"

#include <fmt/ranges.h>

namespace bitnet {

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t dim : dims) product *= dim;
  return product;
}

std::string Shape::text() const { return fmt::format("({})", fmt::join(dims, ", ")); }

}  // namespace bitnet
