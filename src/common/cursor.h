// Cursor: reads little-endian values from untrusted bytes; every read is checked, every failure names the place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "common/error.h"

namespace bitnet {

// Views bytes owned by the caller. Not thread safe. All failures throw Error{bad_model} as "FILE: at byte N: FACT".
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string file) : bytes_(bytes), file_(std::move(file)) {}

  std::uint64_t at() const { return at_; }
  std::uint64_t left() const { return bytes_.size() - at_; }

  // The next `size` bytes; `what` names them in the error.
  std::span<const std::byte> take(std::uint64_t size, std::string_view what);

  // An integer or float, read byte by byte so that the host's byte order does not matter.
  template <class T>
  T number(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    const auto part = take(sizeof(T), what);
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) bits |= std::to_integer<std::uint64_t>(part[i]) << (8 * i);
    return from_bits<T>(bits);
  }

  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw Error(ErrorKind::bad_model, fmt::format("{}: at byte {}: {}", printable(file_, 512), at_,
                                                  fmt::format(format, std::forward<Args>(args)...)));
  }

 private:
  template <class T>
  static T from_bits(std::uint64_t bits);

  std::span<const std::byte> bytes_;
  std::uint64_t at_ = 0;
  std::string file_;
};

template <class T>
T Cursor::from_bits(std::uint64_t bits) {
  if constexpr (std::is_same_v<T, float>) {
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(bits));
  } else if constexpr (std::is_same_v<T, double>) {
    return __builtin_bit_cast(double, bits);
  } else {
    return static_cast<T>(bits);
  }
}

}  // namespace bitnet
