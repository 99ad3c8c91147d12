// Scans, bounds, and multiplies what is left.
#include "inference/head_scan.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "common/checked.h"

namespace bitnet {
namespace {

constexpr std::int64_t scan_unit = 32;         // int8_scan wants columns in multiples of it
constexpr std::int64_t scan_block = 64;        // rows whose sums stay in the first cache
constexpr std::int64_t least_rows = 2048;      // below, the full head costs no more
constexpr std::int64_t admitted_fraction = 8;  // of the rows may be multiplied exactly; above, the full head is cheaper
constexpr double largest_row = 1e6f, largest_input = 1e30;  // norms; nothing overflows below them
constexpr double up = 1 + 1e-6;                             // covers the rounding of what bounds are computed with

double norm(const float* x, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return std::sqrt(sum);
}

// Covers the rounding of a subtraction.
float just_below(float x) { return std::nextafter(x, -std::numeric_limits<float>::infinity()); }

// Of n >= 1 values; in lanes, which compilers turn into vectors.
float largest(const float* x, std::int64_t n) {
  constexpr std::int64_t width = 8;
  float lanes[width];
  std::fill_n(lanes, width, x[0]);
  for (std::int64_t i = 0; i + width <= n; i += width) {
    for (std::int64_t k = 0; k < width; ++k) lanes[k] = x[i + k] > lanes[k] ? x[i + k] : lanes[k];
  }
  for (std::int64_t i = n / width * width; i < n; ++i) lanes[0] = std::max(lanes[0], x[i]);
  return *std::max_element(lanes, lanes + width);
}

float rounded_up(double x) { return static_cast<float>(x * up); }

}  // namespace

// The scanned value of row r is dots[r] * scales[r] * scale; logits differ from it by at most of_residual * residuals[r] +
// of_norm * norms[r].
struct HeadScan::Input {
  float scale = 0, of_residual = 0, of_norm = 0;
  bool finite = false;
};

struct HeadScan::Search {
  const LogitQuery* query;
  Memory* memory;
  Input input;
  std::size_t index;  // of the query
  float reached = 0;  // by at least query->count logits
};

HeadScan::HeadScan(const DenseMatrix& head, const KernelTable& kernels, ThreadPool& pool) : rows_(head.rows), cols_(head.cols) {
  if (rows_ < least_rows || cols_ > 1 << 20) return;
  padded_ = round_up(cols_, scan_unit);
  quants_ = Buffer(static_cast<std::size_t>(rows_ * padded_));
  for (auto* per_row : {&scales_, &norms_, &residuals_}) per_row->resize(static_cast<std::size_t>(rows_));
  std::atomic<bool> finite{true};
  pool.split(rows_, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> row(static_cast<std::size_t>(cols_));
    for (std::int64_t r = begin; r < end; ++r) {
      kernels.decode(head.type, head.data + r * head.row_bytes, cols_, row.data());
      if (!quantise_row(row.data(), r, kernels)) finite = false;
    }
  });
  usable_ = finite;
}

std::uint64_t HeadScan::bytes() const { return quants_.size() + 3 * scales_.size() * sizeof(float); }

// False when an element is not finite, or so large that products might overflow.
bool HeadScan::quantise_row(const float* row, std::int64_t index, const KernelTable& kernels) {
  std::int8_t* quants = quants_.as<std::int8_t>() + index * padded_;
  float inverse, squares, error_squares;
  std::int32_t sum;
  kernels.quantise(row, cols_, padded_, quants, &inverse, &sum);
  const float step = 1.0f / inverse;
  kernels.quantisation_error(row, quants, step, cols_, &squares, &error_squares);
  if (!(squares <= largest_row * largest_row) || !std::isfinite(step)) return false;
  // The sums round once per addition in a lane of sixteen, x - q * step twice more, and squares below the smallest float
  // vanish.
  const auto n = static_cast<double>(cols_);
  const double slack = 1 + (n / 16 + 32) * 0x1p-23, vanished = n * 1e-18;
  const double row_norm = std::sqrt(static_cast<double>(squares)) * slack + vanished;
  const double residual = std::sqrt(static_cast<double>(error_squares)) * slack + vanished;
  const auto i = static_cast<std::size_t>(index);
  scales_[i] = step, norms_[i] = rounded_up(row_norm), residuals_[i] = rounded_up(residual + 0x1p-22 * (row_norm + residual));
  return true;
}

// `quantised` (padded) is zero at first.
HeadScan::Input HeadScan::quantise_input(const float* x, std::int16_t* quantised) const {
  const double x_norm = norm(x, cols_);
  float largest = 0;
  for (std::int64_t c = 0; c < cols_; ++c) largest = std::max(largest, std::fabs(x[c]));
  if (!(x_norm <= largest_input) || !(largest > 1e-30f)) return {};
  // So large that no sum of 127 * quant over the columns passes 31 bits.
  const auto most = static_cast<float>(std::min<std::int64_t>(32767, ((std::int64_t{1} << 31) - 1) / (127 * cols_)));
  const float scale = largest / most;
  constexpr float shift = 0x1.8p23f;  // rounds what is far below it, half to even
  double error = 0;
  for (std::int64_t c = 0; c < cols_; ++c) {
    const float rounded = std::clamp(x[c] / scale + shift - shift, -most, most);
    quantised[c] = static_cast<std::int16_t>(rounded);
    const double left = static_cast<double>(x[c]) - static_cast<double>(rounded) * static_cast<double>(scale);
    error += left * left;
  }
  error = std::sqrt(error);
  // The exact head adds cols / 16 products in a lane and 4 levels of a tree; the scan rounds a few times more.
  const double rounding = static_cast<double>(cols_ / 16 + 32) * 0x1p-24;
  return {scale, rounded_up(x_norm + error), rounded_up(error + rounding * (x_norm + error)), true};
}

// Fills the memories' upper bounds and finds what each query's best logits reach. `x` (searches, padded) are the inputs.
void HeadScan::scan(std::span<Search> searches, const std::int16_t* x, Compute& with) const {
  for (const Search& search : searches) {
    search.memory->upper.resize(static_cast<std::size_t>(rows_));
    search.memory->block_upper.resize(static_cast<std::size_t>(ceil_div(rows_, scan_block)));
  }
  const auto threads = static_cast<std::size_t>(with.pool.threads()), count = searches.size();
  std::vector<std::vector<float>> best(threads * count);  // heaps whose first is the least of the best
  with.pool.balance(rows_, scan_block, [&](std::int64_t begin, std::int64_t end, int part) {
    std::vector<std::int32_t> dots(count * static_cast<std::size_t>(scan_block));
    for (std::int64_t first = begin; first < end; first += scan_block) {
      const std::int64_t last = std::min(first + scan_block, end);
      with.kernels.int8_scan(quants_.as<std::int8_t>(), padded_, first, last, x, static_cast<std::int64_t>(count), dots.data(),
                             scan_block);
      for (std::size_t s = 0; s < count; ++s) {
        keep_best(searches[s], first, last, dots.data() + s * static_cast<std::size_t>(scan_block),
                  best[s * threads + static_cast<std::size_t>(part)]);
      }
    }
  });
  for (std::size_t s = 0; s < searches.size(); ++s) {
    std::vector<float> all;
    for (std::size_t thread = 0; thread < threads; ++thread) {
      const std::vector<float>& part = best[s * threads + thread];
      all.insert(all.end(), part.begin(), part.end());
    }
    const auto wanted = all.begin() + static_cast<std::ptrdiff_t>(searches[s].query->count - 1);
    std::nth_element(all.begin(), wanted, all.end(), std::greater<>());
    searches[s].reached = *wanted;
  }
}

// Rows [begin, end) are one block.
void HeadScan::keep_best(const Search& search, std::int64_t begin, std::int64_t end, const std::int32_t* dots,
                         std::vector<float>& lowest) const {
  const Input input = search.input;
  const float *scales = scales_.data() + begin, *norms = norms_.data() + begin, *residuals = residuals_.data() + begin;
  float *upper = search.memory->upper.data() + begin, lower[scan_block];
  const std::int64_t count = end - begin;
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = static_cast<float>(dots[i]) * scales[i] * input.scale;
    const float bound = input.of_residual * residuals[i] + input.of_norm * norms[i];
    upper[i] = value + bound, lower[i] = value - bound;
  }
  search.memory->block_upper[static_cast<std::size_t>(begin / scan_block)] = largest(upper, count);
  for (std::int64_t i = 0; i < count; ++i) {
    const bool full = static_cast<std::int64_t>(lowest.size()) == search.query->count;
    if (full && lower[i] <= lowest.front()) continue;
    lowest.push_back(lower[i]);
    std::push_heap(lowest.begin(), lowest.end(), std::greater<>());
    if (!full) continue;
    std::pop_heap(lowest.begin(), lowest.end(), std::greater<>());
    lowest.pop_back();
  }
}

// memory.ids = the rows that may be among those the query wants, and those it asks for, in order; false when they are too many.
bool HeadScan::admit(const Search& search) const {
  Memory& memory = *search.memory;
  const float least = just_below(search.reached - search.query->margin);
  const auto most = static_cast<std::size_t>(rows_ / admitted_fraction);
  memory.ids.clear();
  for (std::size_t block = 0; block < memory.block_upper.size() && memory.ids.size() <= most; ++block) {
    if (memory.block_upper[block] < least) continue;
    const auto first = static_cast<std::int64_t>(block) * scan_block;
    for (std::int64_t r = first; r < std::min(first + scan_block, rows_); ++r) {
      if (memory.upper[static_cast<std::size_t>(r)] >= least) memory.ids.push_back(static_cast<TokenId>(r));
    }
  }
  memory.ids.insert(memory.ids.end(), search.query->also.begin(), search.query->also.end());
  std::sort(memory.ids.begin(), memory.ids.end());
  memory.ids.erase(std::unique(memory.ids.begin(), memory.ids.end()), memory.ids.end());
  return memory.ids.size() <= most;
}

// memory.values = the logits for the input x of those of memory.ids that may still be wanted; the others leave it. Once the
// most promising rows are multiplied, their logits say better than the scan's bounds did what the best reach.
void HeadScan::multiply(const RowTable& head, const float* x, const Search& search, Compute& with) const {
  Memory& memory = *search.memory;
  const LogitQuery& query = *search.query;
  memory.values.resize(memory.ids.size());
  std::vector<std::size_t> order(memory.ids.size());
  std::iota(order.begin(), order.end(), 0);
  const auto count = static_cast<std::size_t>(query.count), first = count + query.also.size() + count / 4 + 16;
  if (first >= order.size()) return multiply_rows(head, x, order, memory, with);
  for (const TokenId id : query.also) memory.upper[static_cast<std::size_t>(id)] = std::numeric_limits<float>::infinity();
  const auto upper = [&](std::size_t i) { return memory.upper[static_cast<std::size_t>(memory.ids[i])]; };
  const auto rest = order.begin() + static_cast<std::ptrdiff_t>(first);
  std::nth_element(order.begin(), rest, order.end(), [&](std::size_t a, std::size_t b) { return upper(a) > upper(b); });
  multiply_rows(head, x, std::span(order).first(first), memory, with);
  std::vector<float> best;
  for (std::size_t i = 0; i < first; ++i) best.push_back(memory.values[order[i]]);
  std::nth_element(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(count - 1), best.end(), std::greater<>());
  const float least = just_below(best[count - 1] - query.margin);
  order.erase(std::partition(rest, order.end(), [&](std::size_t i) { return upper(i) >= least; }), order.end());
  multiply_rows(head, x, std::span(order).subspan(first), memory, with);
  std::sort(order.begin(), order.end());
  for (std::size_t i = 0; i < order.size(); ++i) {
    memory.ids[i] = memory.ids[order[i]], memory.values[i] = memory.values[order[i]];
  }
  memory.ids.resize(order.size()), memory.values.resize(order.size());
}

// memory.values[i] = the logit of memory.ids[i] for each i of `which`.
void HeadScan::multiply_rows(const RowTable& head, const float* x, std::span<const std::size_t> which, Memory& memory,
                             Compute& with) const {
  constexpr std::size_t together = 16;
  if (which.empty()) return;
  with.pool.balance(static_cast<std::int64_t>(which.size()), 4, [&](std::int64_t begin, std::int64_t end, int part) {
    const auto thread = static_cast<std::size_t>(part);
    const auto last = static_cast<std::size_t>(end);
    for (auto i = static_cast<std::size_t>(begin); i < last;) {
      TokenId ids[together];
      float values[together];
      const std::size_t n = std::min(together, last - i);
      for (std::size_t k = 0; k < n; ++k) ids[k] = memory.ids[which[i + k]];
      const DenseMatrix rows = head.gather({ids, n}, with.rows[thread]);
      with.kernels.dense_matmul(rows, 0, rows.rows, x, 1, cols_, values, rows.rows, with.scratch[thread].data());
      for (std::size_t k = 0; k < n; ++k) memory.values[which[i + k]] = values[k];
      i += n;
    }
  });
}

bool HeadScan::is_answerable(const LogitQuery& query) const {
  return usable_ && query.count >= 1 && query.count <= rows_ / admitted_fraction;
}

std::vector<std::optional<LogitSet>> HeadScan::find(const RowTable& head, const float* x, std::span<const LogitQuery> queries,
                                                    Compute& with, std::span<Memory> memory) const {
  std::vector<std::optional<LogitSet>> answers(queries.size());
  std::vector<Search> searches;
  std::vector<std::int16_t> quantised;  // (searches, padded)
  for (std::size_t i = 0; i < queries.size(); ++i) {
    if (!is_answerable(queries[i])) continue;
    const std::size_t before = quantised.size();
    quantised.resize(before + static_cast<std::size_t>(padded_));
    const Input input = quantise_input(x + static_cast<std::int64_t>(i) * cols_, quantised.data() + before);
    if (input.finite) {
      searches.push_back({&queries[i], &memory[i], input, i});
    } else {
      quantised.resize(before);
    }
  }
  if (searches.empty()) return answers;
  scan(searches, quantised.data(), with);
  for (const Search& search : searches) {
    if (!admit(search)) continue;
    multiply(head, x + static_cast<std::int64_t>(search.index) * cols_, search, with);
    answers[search.index] = LogitSet{search.memory->ids, search.memory->values};
  }
  return answers;
}

}  // namespace bitnet
