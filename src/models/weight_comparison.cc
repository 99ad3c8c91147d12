// Compares weights row by row: codes and scales, or values within the step of a type.
#include "models/weight_comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

namespace bitnet {
namespace {

// How far a value may lie from the one that was rounded to a type: a share of the value itself, and of the largest value of its
// block. Bounds of our own quantisers and of ggml's reference quantisers (docs/formats.md), with room for the rounding of the
// block's scale.
struct Step {
  float of_value, of_largest;
  std::int64_t block;
};

Step step_of(DataType type) {
  switch (type) {
    case DataType::f16:
      return {0x1.01p-11f, 0, 1};
    case DataType::bf16:
      return {0x1.01p-8f, 0, 1};
    case DataType::q8_0:
      return {0, 0x1.08p-8f, 32};
    case DataType::q4_0:
      return {0, 0.1251f, 32};
    case DataType::q4_1:
      return {0, 0.0700f, 32};
    case DataType::q5_0:
      return {0, 0.0626f, 32};
    case DataType::q5_1:
      return {0, 0.0340f, 32};
    case DataType::q4_k:
      return {0, 0.0800f, 256};
    case DataType::q5_k:
      return {0, 0.0400f, 256};
    case DataType::q6_k:
      return {0, 0.0340f, 256};
    default:
      return {0, 0, 1};
  }
}

constexpr float smallest_step = 0x1p-24f;  // below it half precision has nothing

// What the rows of one thread found; joined in the order of rows, so that the first fact is the same at any thread count.
struct Found {
  std::int64_t row = std::numeric_limits<std::int64_t>::max();
  WeightDifference difference;
};

void note(Found& found, std::int64_t row, Likeness likeness, const std::string& fact) {
  if (likeness > found.difference.likeness) {
    found.difference.likeness = likeness;
    found.difference.fact = fact, found.row = row;
  }
}

void compare_codes(const WeightRows& a, const WeightRows& b, std::int64_t row, std::span<std::uint8_t> ca,
                   std::span<std::uint8_t> cb, Found& found) {
  a.codes(row, ca.data()), b.codes(row, cb.data());
  const bool same_codes = std::equal(ca.begin(), ca.end(), cb.begin());
  const bool one_scale = a.scales()->per <= ScalePer::row && b.scales()->per <= ScalePer::row;
  if (same_codes && one_scale && a.scale_at(row, 0) == b.scale_at(row, 0)) return;
  for (std::int64_t c = 0; c < a.cols(); ++c) {
    const int x = ca[static_cast<std::size_t>(c)] - 1, y = cb[static_cast<std::size_t>(c)] - 1;
    const float va = static_cast<float>(x) * a.scale_at(row, c), vb = static_cast<float>(y) * b.scale_at(row, c);
    // A scale of zero makes every code a zero.
    if (va == vb) continue;
    ++found.difference.weights;
    found.difference.largest = std::max(found.difference.largest, std::fabs(va - vb));
    if (found.difference.likeness == Likeness::different) continue;
    const bool codes_differ = (va == 0) != (vb == 0) || (va > 0) != (vb > 0);
    note(found, row, Likeness::different,
         codes_differ ? fmt::format("row {}, column {} is {} and {}", row, c, va, vb)
                      : fmt::format("the scale of row {}, column {} is {} and {}", row, c, std::fabs(va), std::fabs(vb)));
  }
}

void compare_values(const SourceWeight& a, const SourceWeight& b, std::int64_t row, std::span<const float> va,
                    std::span<const float> vb, Found& found) {
  if (std::equal(va.begin(), va.end(), vb.begin())) return;
  const Step sa = step_of(a.view.type), sb = step_of(b.view.type);
  float largest = 0;
  const std::int64_t block = std::max(sa.block, sb.block);
  for (std::size_t c = 0; c < va.size(); ++c) {
    if (static_cast<std::int64_t>(c) % block == 0) {
      largest = 0;
      for (std::size_t i = c; i < std::min(va.size(), c + static_cast<std::size_t>(block)); ++i) {
        largest = std::max({largest, std::fabs(va[i]), std::fabs(vb[i])});
      }
    }
    const float x = va[c], y = vb[c];
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const float off = std::isfinite(x) && std::isfinite(y) ? std::fabs(x - y) : std::numeric_limits<float>::infinity();
    const float value = std::max(std::fabs(x), std::fabs(y));
    const bool types_round = sa.of_value + sa.of_largest + sb.of_value + sb.of_largest > 0;
    const float allowed = std::max(sa.of_value, sb.of_value) * value + std::max(sa.of_largest, sb.of_largest) * largest +
                          (types_round ? smallest_step : 0);
    ++found.difference.weights;
    found.difference.largest = std::max(found.difference.largest, off);
    const Likeness likeness = a.view.type != b.view.type && off <= allowed ? Likeness::rounded : Likeness::different;
    if (likeness > found.difference.likeness) {
      note(found, row, likeness, fmt::format("row {}, column {} is {} and {}", row, c, x, y));
    }
  }
}

void join(Found& all, const Found& part) {
  const bool worse = part.difference.likeness > all.difference.likeness;
  const bool earlier = part.difference.likeness == all.difference.likeness && part.row < all.row;
  if (worse || earlier) {
    all.row = part.row, all.difference.likeness = part.difference.likeness, all.difference.fact = part.difference.fact;
  }
  all.difference.weights += part.difference.weights;
  all.difference.largest = std::max(all.difference.largest, part.difference.largest);
}

WeightDifference compare_rows(const SourceWeight& a, const SourceWeight& b, ThreadPool& pool) {
  const WeightRows ra(a, pool), rb(b, pool);
  const bool ternary = ra.scales() && rb.scales();
  Found all;
  std::mutex mutex;
  pool.split(ra.rows(), 1, [&](std::int64_t begin, std::int64_t end) {
    const auto cols = static_cast<std::size_t>(ra.cols());
    std::vector<float> va(ternary ? 0 : cols), vb(va.size());
    std::vector<std::uint8_t> ca(ternary ? cols : 0), cb(ca.size());
    Found found;
    for (std::int64_t row = begin; row < end; ++row) {
      if (ternary) {
        compare_codes(ra, rb, row, ca, cb, found);
      } else {
        ra.values(row, va.data()), rb.values(row, vb.data());
        compare_values(a, b, row, va, vb, found);
      }
    }
    const std::lock_guard lock(mutex);
    join(all, found);
  });
  return all.difference;
}

}  // namespace

WeightDifference compare(const SourceWeight& a, const SourceWeight& b, ThreadPool& pool) {
  if (a.view.shape != b.view.shape) {
    const std::string fact = fmt::format("the shape is {} and {}", a.view.shape.text(), b.view.shape.text());
    return {Likeness::different, fact, static_cast<std::uint64_t>(a.view.shape.elements()), 0};
  }
  const bool same_bytes = a.view.type == b.view.type && a.scale == b.scale && a.absmean == b.absmean && !a.stored_row &&
                          !b.stored_row && std::ranges::equal(a.view.bytes, b.view.bytes);
  const WeightDifference difference = same_bytes ? WeightDifference{} : compare_rows(a, b, pool);
  a.map->discard(a.view.bytes), b.map->discard(b.view.bytes);
  return difference;
}

}  // namespace bitnet
