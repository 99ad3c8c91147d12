// The packed ternary formats, each in its own file: what ternary.cc needs of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace bitnet::i2_s {

// The float32 behind the codes. `bytes` is the whole tensor of `weights` weights.
float scale(std::span<const std::byte> bytes, std::int64_t weights);
// Codes of weights [first, first + n), counted through the whole tensor: blocks of 128 do not stop at row ends.
void unpack(const std::byte* bytes, std::int64_t first, std::int64_t n, std::uint8_t* codes);

}  // namespace bitnet::i2_s

namespace bitnet::tq1_0 {

constexpr std::int64_t block = 256, block_bytes = 54;
float scale(const std::byte* block_start);                       // of one block
void unpack(const std::byte* block_start, std::uint8_t* codes);  // of one block

}  // namespace bitnet::tq1_0

namespace bitnet::tq2_0 {

constexpr std::int64_t block = 256, block_bytes = 66;
float scale(const std::byte* block_start);
void unpack(const std::byte* block_start, std::uint8_t* codes);

}  // namespace bitnet::tq2_0
