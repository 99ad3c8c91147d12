// The generated Unicode tables: what unicode.cc looks characters up in.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bitnet::unicode {

struct Range {  // from `first` up to the next range's first
  char32_t first;
  std::uint8_t value;
};
struct Mapping {  // `code` becomes `size` scalars of scalar_pool from `place` on
  char32_t code;
  std::uint32_t place;
  std::uint8_t size;
};
struct Composition {
  char32_t first, second, composed;
};

// Sorted by code; nfkd_map holds only what differs from nfd_map.
extern const Range category_ranges[], combining_ranges[];
extern const Mapping lower_map[], nfd_map[], nfkd_map[];
extern const Composition compositions[];
extern const char32_t scalar_pool[];
extern const std::size_t category_ranges_size, combining_ranges_size, lower_map_size, nfd_map_size, nfkd_map_size,
    compositions_size, scalar_pool_size;

}  // namespace bitnet::unicode
