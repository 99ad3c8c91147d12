// Sha256: the FIPS 180-4 hash of a stream of bytes; identifies files that are downloaded, converted or inspected.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bitnet {

// Bytes go in piece by piece, how they are cut does not matter. Copyable: a copy continues on its own. Not thread safe.
class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text.data(), text.size()))); }

  // The digest of everything so far, as 64 lowercase hexadecimal digits; more bytes may follow.
  std::string hex() const;

 private:
  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> block_ = {};  // the first size_ % 64 bytes are input that still waits for the rest of its block
  std::uint64_t size_ = 0;                // bytes so far; the standard ends at 2^61 of them
};

// True for exactly 64 hexadecimal digits in lower case, which is how digests are written here.
bool is_sha256_hex(std::string_view text);

}  // namespace bitnet
