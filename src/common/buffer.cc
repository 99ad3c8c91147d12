// Aligned allocation, with transparent huge pages where the system allows them.
#include "common/buffer.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/checked.h"
#include "common/error.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace bitnet {
namespace {

constexpr std::size_t huge_page = 2u << 20;
constexpr std::size_t huge_from = 2 * huge_page;  // below, rounding up to whole pages would waste too much

}  // namespace

Buffer::Buffer(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
#ifdef __linux__
  if (bytes >= huge_from) {
    // Mapped rather than allocated: fresh pages are zero already, and huge ones need an aligned start.
    const auto rounded = checked_round_up(bytes, huge_page);
    const auto total = rounded ? checked_add(*rounded, huge_page) : std::nullopt;
    void* mapped = total ? mmap(nullptr, *total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
    if (mapped == MAP_FAILED) fail(ErrorKind::too_big, "cannot get {} bytes of memory", bytes);
    const auto start = reinterpret_cast<std::uintptr_t>(mapped);
    const std::uintptr_t aligned = (start + huge_page - 1) / huge_page * huge_page;
    if (aligned > start) munmap(mapped, aligned - start);
    if (start + *total > aligned + *rounded)
      munmap(reinterpret_cast<void*>(aligned + *rounded), start + *total - aligned - *rounded);
    data_ = reinterpret_cast<std::byte*>(aligned);
    madvise(data_, *rounded, MADV_HUGEPAGE);
    return;
  }
#endif
  const auto rounded = checked_round_up(bytes, 64);
  data_ = rounded ? static_cast<std::byte*>(std::aligned_alloc(64, *rounded)) : nullptr;
  if (data_ == nullptr) fail(ErrorKind::too_big, "cannot get {} bytes of memory", bytes);
  std::memset(data_, 0, *rounded);
}

Buffer::~Buffer() {
#ifdef __linux__
  if (size_ >= huge_from) {
    munmap(data_, *checked_round_up(size_, huge_page));
    return;
  }
#endif
  std::free(data_);
}

Buffer::Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace bitnet
