// The bounds check behind every read of untrusted bytes.
#include "common/cursor.h"

namespace bitnet {

std::span<const std::byte> Cursor::take(std::uint64_t size, std::string_view what) {
  // Compared with what is left: at_ + size could wrap.
  if (size > left()) fail("{} needs {} bytes, the file has {} left", what, size, left());
  const auto part = bytes_.subspan(at_, size);
  at_ += size;
  return part;
}

}  // namespace bitnet
