// TL1 and TL2: pairs and triples of weights as indices into a table, in the order in which bitnet.cpp's kernels read them.
//
// The order is that of microsoft/BitNet, utils/convert-hf-to-gguf-bitnet.py and utils/codegen_tl2.py; drawings:
// docs/formats.md.
#include <fmt/format.h>

#include "common/data_type.h"
#include "quantization/interwoven.h"

namespace bitnet {
namespace {

constexpr std::int64_t tl2_strip = 32, tl2_pair_cols = 32;

// Four weights of one row as two pairs in a byte, the first pair on top. A pair is 3 * w0 + w1 + 4 = 3 * c0 + c1 of 0 to 8.
std::uint8_t pack_pairs(const std::uint8_t* c) { return static_cast<std::uint8_t>((3 * c[0] + c[1]) << 4 | (3 * c[2] + c[3])); }

void unpack_pair(int index, std::uint8_t* c) {
  c[0] = static_cast<std::uint8_t>(index > 8 ? 3 : index / 3);
  c[1] = static_cast<std::uint8_t>(index > 8 ? 3 : index % 3);
}

// TL1: blocks of block_rows by block_cols, in them strips of strip_rows by 256 / strip_rows, which are 64 bytes, in them 16
// rows by 4 columns, a byte for each row. Calls visit(byte, column) for every four columns of a row.
template <class Visit>
void visit_tl1(const Tiling& t, std::int64_t cols, std::int64_t row, const Visit& visit) {
  const std::int64_t strip_cols = 256 / t.strip_rows, sixteen = row % t.strip_rows / 16;
  for (std::int64_t begin = 0; begin < cols; begin += t.block_cols) {
    const std::int64_t block = row / t.block_rows * (cols / t.block_cols) + begin / t.block_cols;
    const std::int64_t strips = block * (t.block_rows / t.strip_rows) + row % t.block_rows / t.strip_rows;
    std::int64_t at = strips * (t.block_cols / strip_cols) * 64 + sixteen * strip_cols * 4 + row % 16;
    for (std::int64_t strip = begin; strip < begin + t.block_cols; strip += strip_cols, at += 64) {
      for (std::int64_t c = 0; c < strip_cols; c += 4) visit(at + 4 * c, strip + c);
    }
  }
}

// TL2: the columns of whole blocks are stored as triples, the rest of a row as pairs: first the indices of all triples, then
// their signs, then the pairs.
struct Tl2Layout {
  std::int64_t triple_cols, signs, pairs, end;  // bytes, but for the first

  Tl2Layout(const Tiling& t, std::int64_t rows, std::int64_t cols) : triple_cols(cols / t.block_cols * t.block_cols) {
    signs = rows * triple_cols / 6;
    pairs = signs + rows * triple_cols / 24;
    end = pairs + rows * (cols - triple_cols) / 4;
  }
};

// Blocks of block_rows by block_cols, in them strips of 32 rows by `width` columns. Calls visit(strip, column) for those of a
// row.
template <class Visit>
void visit_strips(std::int64_t block_rows, std::int64_t block_cols, std::int64_t width, std::int64_t cols, std::int64_t row,
                  const Visit& visit) {
  for (std::int64_t begin = 0; begin < cols; begin += block_cols) {
    const std::int64_t block = row / block_rows * (cols / block_cols) + begin / block_cols;
    std::int64_t strip = (block * (block_rows / tl2_strip) + row % block_rows / tl2_strip) * (block_cols / width);
    for (std::int64_t col = begin; col < begin + block_cols; col += width) visit(strip++, col);
  }
}

// Of 32 bytes, one for each row, the second and third eight change places: the lookup's unpacking puts them back.
std::int64_t place_in_strip(std::int64_t row) {
  constexpr std::int64_t eights[4] = {0, 2, 1, 3};
  return eights[row % 32 / 8] * 8 + row % 8;
}

// v = 9 * w0 + 3 * w1 + w2, of -13 to 13, kept as magnitude and sign. v + 13 is the number with the codes as digits to base 3.
int triple_of(const std::uint8_t* c) { return 9 * c[0] + 3 * c[1] + c[2] - 13; }

void unpack_triple(int index, bool negative, std::uint8_t* c) {
  const int number = negative ? 13 - index : 13 + index;
  c[0] = static_cast<std::uint8_t>(index > 13 ? 3 : number / 9);
  c[1] = static_cast<std::uint8_t>(index > 13 ? 3 : number / 3 % 3);
  c[2] = static_cast<std::uint8_t>(index > 13 ? 3 : number % 3);
}

// 24 columns are four bytes of indices, each six weights of a row as two triples, the first on top; and eight signs, in a
// 16-bit word that rows r and r + 16 share: sign 2 * triple + (row / 16) counted from the top.
int sign_bit(std::int64_t row, int triple) { return static_cast<int>(15 - row % 32 / 16) - 2 * triple; }

void unpack_tl2(const Tiling& t, std::int64_t rows, std::int64_t cols, const std::uint8_t* bytes, std::int64_t row,
                std::uint8_t* codes) {
  const Tl2Layout layout(t, rows, cols);
  const std::int64_t place = place_in_strip(row);
  visit_strips(t.block_rows, t.block_cols, 24, layout.triple_cols, row, [&](std::int64_t strip, std::int64_t col) {
    const std::uint8_t* word = bytes + layout.signs + strip * 32 + row % 16 * 2;
    const int signs = word[0] | word[1] << 8;
    for (int triple = 0; triple < 8; ++triple) {
      const int byte = bytes[(4 * strip + triple / 2) * 32 + place];
      unpack_triple(triple % 2 == 0 ? byte >> 4 : byte & 15, (signs >> sign_bit(row, triple) & 1) != 0,
                    codes + col + 3 * triple);
    }
  });
  const std::uint8_t* pairs = bytes + layout.pairs + place;
  visit_strips(t.block_rows, tl2_pair_cols, 4, cols - layout.triple_cols, row, [&](std::int64_t strip, std::int64_t col) {
    const int byte = pairs[strip * 32];
    std::uint8_t* c = codes + layout.triple_cols + col;
    unpack_pair(byte >> 4, c), unpack_pair(byte & 15, c + 2);
  });
}

void pack_tl2(const Tiling& t, std::int64_t rows, std::int64_t cols, const std::uint8_t* codes, std::int64_t row,
              std::uint8_t* bytes) {
  const Tl2Layout layout(t, rows, cols);
  const std::int64_t place = place_in_strip(row);
  visit_strips(t.block_rows, t.block_cols, 24, layout.triple_cols, row, [&](std::int64_t strip, std::int64_t col) {
    int signs = 0;
    for (int triple = 0; triple < 8; ++triple) {
      const int v = triple_of(codes + col + 3 * triple), index = v < 0 ? -v : v;
      bytes[(4 * strip + triple / 2) * 32 + place] |= static_cast<std::uint8_t>(triple % 2 == 0 ? index << 4 : index);
      signs |= static_cast<int>(v < 0) << sign_bit(row, triple);
    }
    std::uint8_t* word = bytes + layout.signs + strip * 32 + row % 16 * 2;
    word[0] |= static_cast<std::uint8_t>(signs), word[1] |= static_cast<std::uint8_t>(signs >> 8);
  });
  std::uint8_t* pairs = bytes + layout.pairs + place;
  visit_strips(t.block_rows, tl2_pair_cols, 4, cols - layout.triple_cols, row,
               [&](std::int64_t strip, std::int64_t col) { pairs[strip * 32] = pack_pairs(codes + layout.triple_cols + col); });
}

std::optional<std::string> not_multiple(std::string_view what, std::int64_t value, std::string_view unit, std::int64_t of) {
  if (value % of == 0) return std::nullopt;
  return fmt::format("{} is {}, it must be a multiple of {}{}", what, value, unit, of);
}

// The first clause there is.
template <class... Clauses>
std::optional<std::string> first_of(Clauses... clauses) {
  std::optional<std::string> found;
  ((found = found ? found : clauses), ...);
  return found;
}

std::optional<std::string> why_not_tl1(const Tiling& t, std::int64_t rows, std::int64_t cols) {
  if (t.strip_rows != 16 && t.strip_rows != 32 && t.strip_rows != 64) {
    return fmt::format("the kernel configuration has bmm = {}, TL1 wants 16, 32 or 64", t.strip_rows);
  }
  return first_of(not_multiple("the number of rows", rows, "bm = ", t.block_rows),
                  not_multiple("the number of columns", cols, "bk = ", t.block_cols),
                  not_multiple("bm", t.block_rows, "bmm = ", t.strip_rows),
                  not_multiple("bk", t.block_cols, "256 / bmm = ", 256 / t.strip_rows));
}

std::optional<std::string> why_not_tl2(const Tiling& t, std::int64_t rows, std::int64_t cols) {
  if (t.strip_rows != tl2_strip) return fmt::format("the kernel configuration has bmm = {}, TL2 wants 32", t.strip_rows);
  if (const auto clause =
          first_of(not_multiple("the number of rows", rows, "bm = ", t.block_rows),
                   not_multiple("bm", t.block_rows, "bmm = ", tl2_strip), not_multiple("bk", t.block_cols, "", 24),
                   not_multiple("what bk leaves of the columns", cols % t.block_cols, "", 32))) {
    return clause;
  }
  const auto reserved = data_bytes(DataType::tl2, static_cast<std::uint64_t>(rows * cols), static_cast<std::uint64_t>(cols));
  const std::int64_t used = Tl2Layout(t, rows, cols).end, tail = info(DataType::tl2).tail_bytes;
  if (!reserved || used > static_cast<std::int64_t>(*reserved) - tail) {
    return fmt::format("{} columns in blocks of bk = {} leave {} for pairs, TL2 has room for 256", cols, t.block_cols,
                       cols % t.block_cols);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> why_not_tiles(DataType type, const Tiling& tiling, std::int64_t rows, std::int64_t cols) {
  if (type != DataType::tl1 && type != DataType::tl2) return std::nullopt;
  if (tiling.block_rows < 1 || tiling.block_cols < 1 || tiling.strip_rows < 1) {
    return fmt::format(
        "{} is read and written in the tiles that a kernel_config.ini beside the model defines: there is none, or none "
        "with m = {} and k = {}",
        info(type).name, rows, cols);
  }
  return type == DataType::tl1 ? why_not_tl1(tiling, rows, cols) : why_not_tl2(tiling, rows, cols);
}

void unpack_tiles(DataType type, const Tiling& tiling, std::int64_t rows, std::int64_t cols, const std::uint8_t* bytes,
                  std::int64_t row, std::uint8_t* codes) {
  if (type == DataType::tl2) return unpack_tl2(tiling, rows, cols, bytes, row, codes);
  visit_tl1(tiling, cols, row, [&](std::int64_t at, std::int64_t col) {
    unpack_pair(bytes[at] >> 4, codes + col), unpack_pair(bytes[at] & 15, codes + col + 2);
  });
}

void pack_tiles(DataType type, const Tiling& tiling, std::int64_t rows, std::int64_t cols, const std::uint8_t* codes,
                std::int64_t row, std::uint8_t* bytes) {
  if (type == DataType::tl2) return pack_tl2(tiling, rows, cols, codes, row, bytes);
  visit_tl1(tiling, cols, row, [&](std::int64_t at, std::int64_t col) { bytes[at] = pack_pairs(codes + col); });
}

}  // namespace bitnet
