// The packed ternary formats as rows of data: where a block's scale lies, and how its codes are packed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/data_type.h"
#include "common/shape.h"
#include "quantization/ternary.h"

namespace bitnet {

// Sizes of blocks, row heads and tails stand in the table of data types; drawings in docs/formats.md.
struct PackedFormat {
  DataType type;
  ScalePer per;
  int scale_at;     // bytes from the start of the block, of the row or of the tail, whichever `per` says
  bool half_scale;  // f16, otherwise f32
  bool two_is_3;    // code 3 means +2 here and makes the matrix a dense one; elsewhere it means nothing
  void (*unpack)(const std::uint8_t* block, std::uint8_t* codes);  // of one block; any byte gives codes 0 to 3
  void (*pack)(const std::uint8_t* codes, std::uint8_t* block);    // codes 0 to 2; writes the block's codes, not its scale
};

// nullptr for a type that is not ternary. IQ2_BN_R4, TL1 and TL2 have no packer of blocks: their rows are interwoven.
const PackedFormat* packed_format(DataType type);

float load_scale(const std::byte* p, bool half);
void store_scale(float scale, bool half, std::byte* p);

// HF_PACKED, whose blocks lie across rows: the codes of one row.
void unpack_hf_packed_row(const TensorView& tensor, std::int64_t row, std::uint8_t* codes);

// Two bits a code (two_bits.cc).
struct TwoBits {
  static void unpack_i2_s(const std::uint8_t* block, std::uint8_t* codes);
  static void pack_i2_s(const std::uint8_t* codes, std::uint8_t* block);
  static void unpack_tq2_0(const std::uint8_t* block, std::uint8_t* codes);
  static void pack_tq2_0(const std::uint8_t* codes, std::uint8_t* block);
  static void unpack_iq2_bn(const std::uint8_t* block, std::uint8_t* codes);
  static void pack_iq2_bn(const std::uint8_t* codes, std::uint8_t* block);
  static void unpack_q2_0(const std::uint8_t* block, std::uint8_t* codes);
  static void pack_q2_0(const std::uint8_t* codes, std::uint8_t* block);
  static void unpack_q2_0_g128(const std::uint8_t* block, std::uint8_t* codes);
  static void pack_q2_0_g128(const std::uint8_t* codes, std::uint8_t* block);
};

// Up to five codes a byte, as digits of a number to base 3 (base_three.cc).
struct BaseThree {
  static void unpack_tq1_0(const std::uint8_t* block, std::uint8_t* codes);
  static void pack_tq1_0(const std::uint8_t* codes, std::uint8_t* block);
  static void unpack_ptq1_0(const std::uint8_t* block, std::uint8_t* codes);
  static void pack_ptq1_0(const std::uint8_t* codes, std::uint8_t* block);
  static void unpack_iq1_bn(const std::uint8_t* block, std::uint8_t* codes);
  static void pack_iq1_bn(const std::uint8_t* codes, std::uint8_t* block);
};

}  // namespace bitnet
