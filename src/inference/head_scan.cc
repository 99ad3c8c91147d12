// Scans, bounds, and multiplies what is left.
#include "inference/head_scan.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "common/checked.h"
#include "kernels/byte_planes.h"

namespace bitnet {
namespace {

constexpr std::int64_t largest_quant = 8255;   // of an input: 128 * 64 + 63
constexpr std::int64_t refine_unit = 64;       // admitted rows that one thread takes at least; fewer are multiplied at once
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

// The scanned value of row r is scales[r] * scale * (4 * (dots[r] - 32 sum) + 1.5 sum): a code stands for 4 * code - 128 + 1.5.
// Logits differ from it by at most of_residual * residuals[r] + of_norm * norms[r].
struct HeadScan::Input {
  float scale = 0, of_residual = 0, of_norm = 0;
  std::int32_t plane_sums[2] = {};  // of its two bytes
  std::int32_t sum = 0;             // 128 plane_sums[0] + plane_sums[1]
  bool finite = false;
};

struct HeadScan::Search {
  const LogitQuery* query;
  Memory* memory;
  Input input;
  std::size_t index;                // of the query
  float least = 0;                  // that a logit must have to be wanted
  std::vector<TokenId> known = {};  // rows already multiplied, in order
  std::vector<float> values = {};   // and their logits
};

struct HeadScan::Row {
  std::vector<float> weights, shifted;      // (cols)
  std::vector<std::int8_t> quants, coarse;  // (padded)
};

HeadScan::HeadScan(const DenseMatrix& head, const KernelTable& kernels, ThreadPool& pool) : rows_(head.rows), cols_(head.cols) {
  if (rows_ < least_rows || cols_ > 1 << 20) return;
  padded_ = round_up(cols_, six_bit_block_cols);
  high_ = Buffer(static_cast<std::size_t>(rows_ * padded_ / 4 * 3));
  low_ = Buffer(static_cast<std::size_t>(rows_ * padded_ / 4));
  for (auto* per_row : {&scales_, &norms_, &residuals_, &fine_residuals_}) per_row->resize(static_cast<std::size_t>(rows_));
  std::atomic<bool> finite{true};
  pool.split(rows_, 1, [&](std::int64_t begin, std::int64_t end) {
    Row row;
    for (auto* floats : {&row.weights, &row.shifted}) floats->resize(static_cast<std::size_t>(cols_));
    for (auto* bytes : {&row.quants, &row.coarse}) bytes->resize(static_cast<std::size_t>(padded_));
    for (std::int64_t r = begin; r < end; ++r) {
      kernels.decode(head.type, head.data + r * head.row_bytes, cols_, row.weights.data());
      if (!quantise_row(row, r, kernels)) finite = false;
    }
  });
  usable_ = finite;
}

std::uint64_t HeadScan::bytes() const { return high_.size() + low_.size() + 4 * scales_.size() * sizeof(float); }

std::uint64_t HeadScan::scanned_bytes() const { return high_.size() + 3 * scales_.size() * sizeof(float); }

// False when an element is not finite, or so large that products might overflow.
bool HeadScan::quantise_row(Row& row, std::int64_t index, const KernelTable& kernels) {
  float inverse, squares, error_squares, coarse_squares, shifted_squares;
  std::int32_t sum;
  kernels.quantise(row.weights.data(), cols_, padded_, row.quants.data(), &inverse, &sum);
  const float step = 1.0f / inverse;
  kernels.quantisation_error(row.weights.data(), row.quants.data(), step, cols_, &squares, &error_squares);
  if (!(squares <= largest_row * largest_row) || !std::isfinite(step)) return false;
  // What the middle of four values loses is what the lowest of them loses of weights moved by as much. Apart, for a byte that
  // is stored may lie anywhere, as far as a compiler knows.
  std::ranges::transform(row.weights, row.shifted.begin(), [by = 1.5f * step](float weight) { return weight - by; });
  std::ranges::transform(row.quants, row.coarse.begin(),
                         [](std::int8_t quant) { return static_cast<std::int8_t>(quant & ~3); });
  kernels.quantisation_error(row.shifted.data(), row.coarse.data(), step, cols_, &shifted_squares, &coarse_squares);
  split_planes(row.quants.data(), padded_, high_.as<std::uint8_t>() + index * (padded_ / 4 * 3),
               low_.as<std::uint8_t>() + index * (padded_ / 4));
  // The sums round once per addition in a lane of sixteen, x - q * step twice more, and squares below the smallest float
  // vanish.
  const auto n = static_cast<double>(cols_);
  const double slack = 1 + (n / 16 + 32) * 0x1p-23, vanished = n * 1e-18;
  const auto length = [&](float sum_of_squares) { return std::sqrt(static_cast<double>(sum_of_squares)) * slack + vanished; };
  const double row_norm = length(squares), steps = static_cast<double>(step) * std::sqrt(static_cast<double>(padded_));
  const auto residual = [&](float sum_of_squares) {
    const double lost = length(sum_of_squares);
    return rounded_up(lost + 0x1p-22 * (row_norm + lost + 2 * steps));
  };
  const auto i = static_cast<std::size_t>(index);
  scales_[i] = step, residuals_[i] = residual(coarse_squares), fine_residuals_[i] = residual(error_squares);
  norms_[i] = rounded_up(row_norm + static_cast<double>(residuals_[i]) + steps);
  return true;
}

// `planes` (2, padded) are zero at first.
HeadScan::Input HeadScan::quantise_input(const float* x, std::int8_t* planes) const {
  const double x_norm = norm(x, cols_);
  float largest = 0;
  for (std::int64_t c = 0; c < cols_; ++c) largest = std::max(largest, std::fabs(x[c]));
  if (!(x_norm <= largest_input) || !(largest > 1e-30f)) return {};
  // So large that no sum of 63 * quant over the columns passes 31 bits.
  const auto most = static_cast<float>(std::min(largest_quant, ((std::int64_t{1} << 31) - 1) / (63 * padded_)));
  Input input;
  input.scale = largest / most;
  constexpr float shift = 0x1.8p23f;  // rounds what is far below it, half to even
  double error = 0;
  for (std::int64_t c = 0; c < cols_; ++c) {
    const float rounded = std::clamp(x[c] / input.scale + shift - shift, -most, most);
    const auto quant = static_cast<std::int32_t>(rounded), low = ((quant + 64) & 127) - 64, high = (quant - low) / 128;
    planes[c] = static_cast<std::int8_t>(high), planes[padded_ + c] = static_cast<std::int8_t>(low);
    input.plane_sums[0] += high, input.plane_sums[1] += low;
    const double left = static_cast<double>(x[c]) - static_cast<double>(rounded) * static_cast<double>(input.scale);
    error += left * left;
  }
  error = std::sqrt(error);
  input.sum = 128 * input.plane_sums[0] + input.plane_sums[1];
  // The exact head adds cols / 16 products in a lane and 4 levels of a tree; the scan rounds a few times more.
  const double rounding = static_cast<double>(cols_ / 16 + 48) * 0x1p-24;
  input.of_residual = rounded_up(x_norm + error), input.of_norm = rounded_up(error + rounding * (x_norm + error));
  input.finite = true;
  return input;
}

float HeadScan::bound(const Input& input, const std::vector<float>& residuals, std::size_t row) const {
  return input.of_residual * residuals[row] + input.of_norm * norms_[row];
}

// Fills the memories' upper bounds; their ids become the rows with the highest lower bounds, as many as each query wants. `x`
// (searches, 2, padded) are the inputs.
void HeadScan::scan(std::span<Search> searches, const std::int8_t* x, Compute& with) const {
  for (const Search& search : searches) {
    search.memory->upper.resize(static_cast<std::size_t>(rows_));
    search.memory->block_upper.resize(static_cast<std::size_t>(ceil_div(rows_, scan_block)));
  }
  const auto threads = static_cast<std::size_t>(with.pool.threads()), count = searches.size();
  std::vector<Heap> best(threads * count);
  with.pool.balance(rows_, scan_block, [&](std::int64_t begin, std::int64_t end, int part) {
    std::vector<std::int32_t> dots(count * static_cast<std::size_t>(scan_block));
    for (std::int64_t first = begin; first < end; first += scan_block) {
      const std::int64_t last = std::min(first + scan_block, end);
      with.kernels.six_bit_scan(high_.as<std::uint8_t>(), padded_, first, last, x, static_cast<std::int64_t>(count),
                                dots.data(), scan_block);
      for (std::size_t s = 0; s < count; ++s) {
        keep_best(searches[s], first, last, dots.data() + s * static_cast<std::size_t>(scan_block),
                  best[s * threads + static_cast<std::size_t>(part)]);
      }
    }
  });
  for (std::size_t s = 0; s < count; ++s) {
    Heap all;
    for (std::size_t thread = 0; thread < threads; ++thread) {
      const Heap& part = best[s * threads + thread];
      all.insert(all.end(), part.begin(), part.end());
    }
    const auto wanted = searches[s].query->count;
    std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(wanted - 1), all.end(), std::greater<>());
    std::vector<TokenId>& ids = searches[s].memory->ids;
    ids.clear();
    for (std::int64_t i = 0; i < wanted; ++i) ids.push_back(all[static_cast<std::size_t>(i)].second);
    std::sort(ids.begin(), ids.end());
  }
}

// Rows [begin, end) are one block.
void HeadScan::keep_best(const Search& search, std::int64_t begin, std::int64_t end, const std::int32_t* dots,
                         Heap& best) const {
  const Input input = search.input;
  const float *scales = scales_.data() + begin, *norms = norms_.data() + begin, *residuals = residuals_.data() + begin;
  float *upper = search.memory->upper.data() + begin, lower[scan_block];
  const std::int64_t count = end - begin;
  const std::int32_t thirty_two_sums = 32 * input.sum;
  const float middle = 1.5f * static_cast<float>(input.sum);
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = (4 * static_cast<float>(dots[i] - thirty_two_sums) + middle) * scales[i] * input.scale;
    const float bound = input.of_residual * residuals[i] + input.of_norm * norms[i];
    upper[i] = value + bound, lower[i] = value - bound;
  }
  search.memory->block_upper[static_cast<std::size_t>(begin / scan_block)] = largest(upper, count);
  for (std::int64_t i = 0; i < count; ++i) {
    const bool full = static_cast<std::int64_t>(best.size()) == search.query->count;
    if (full && lower[i] <= best.front().first) continue;
    best.emplace_back(lower[i], static_cast<TokenId>(begin + i));
    std::push_heap(best.begin(), best.end(), std::greater<>());
    if (!full) continue;
    std::pop_heap(best.begin(), best.end(), std::greater<>());
    best.pop_back();
  }
}

// Multiplies the most promising rows: what the best logits reach, they say better than any bound.
void HeadScan::reach(const RowTable& head, const float* x, Search& search, Compute& with) const {
  Memory& memory = *search.memory;
  std::vector<std::size_t> all(memory.ids.size());
  std::iota(all.begin(), all.end(), 0);
  memory.values.resize(all.size());
  multiply_rows(head, x, all, memory, with);
  search.known = memory.ids, search.values = memory.values;
  search.least = just_below(*std::min_element(memory.values.begin(), memory.values.end()) - search.query->margin);
}

// memory.ids = the rows whose upper bound says that they may be wanted, in order.
void HeadScan::admit(const Search& search) const {
  Memory& memory = *search.memory;
  memory.ids.clear();
  for (std::size_t block = 0; block < memory.block_upper.size(); ++block) {
    if (memory.block_upper[block] < search.least) continue;
    const auto first = static_cast<std::int64_t>(block) * scan_block, last = std::min(first + scan_block, rows_);
    std::size_t count = memory.ids.size();
    memory.ids.resize(count + scan_block);
    for (std::int64_t r = first; r < last; ++r) {
      memory.ids[count] = static_cast<TokenId>(r);  // overwritten by the next when it does not count: no branch to mispredict
      count += memory.upper[static_cast<std::size_t>(r)] >= search.least ? 1 : 0;
    }
    memory.ids.resize(count);
  }
}

// Adds the low bits to what is known of the admitted rows, and keeps those that still may be wanted. `x` (2, padded).
void HeadScan::refine(const Search& search, const std::int8_t* x, Compute& with) const {
  Memory& memory = *search.memory;
  const Input& input = search.input;
  if (static_cast<std::int64_t>(memory.ids.size()) < refine_unit) return;
  for (auto& low : memory.low) low.resize(static_cast<std::size_t>(rows_));
  const TernaryMatrix low{low_.as<std::uint8_t>(), scales_.data(), rows_, padded_};
  const float one = 1, half_sum = 0.5f * static_cast<float>(input.sum);
  with.pool.balance(static_cast<std::int64_t>(memory.ids.size()), refine_unit, [&](std::int64_t begin, std::int64_t end, int) {
    for (int plane = 0; plane < 2; ++plane) {
      with.kernels.ternary_rows(low, memory.ids.data() + begin, end - begin,
                                {x + plane * padded_, &one, &input.plane_sums[plane], 1, padded_}, memory.low[plane].data());
    }
    for (std::int64_t i = begin; i < end; ++i) {
      const auto r = static_cast<std::size_t>(memory.ids[static_cast<std::size_t>(i)]);
      // A low value stands for itself, less the 1.5 that its code stood for: low - 1 was summed.
      const float added = input.scale * (128 * memory.low[0][r] + memory.low[1][r] - scales_[r] * half_sum);
      memory.upper[r] += added - bound(input, residuals_, r) + bound(input, fine_residuals_, r);
    }
  });
  std::erase_if(memory.ids, [&](TokenId id) { return memory.upper[static_cast<std::size_t>(id)] < search.least; });
}

// Adds the rows that the query asks for; false when they are too many in all.
bool HeadScan::ask_for_more(const Search& search) const {
  Memory& memory = *search.memory;
  memory.ids.insert(memory.ids.end(), search.query->also.begin(), search.query->also.end());
  std::sort(memory.ids.begin(), memory.ids.end());
  memory.ids.erase(std::unique(memory.ids.begin(), memory.ids.end()), memory.ids.end());
  return memory.ids.size() <= static_cast<std::size_t>(rows_ / admitted_fraction);
}

// memory.values = the logits of memory.ids for the input x; those already known are not multiplied again.
void HeadScan::multiply(const RowTable& head, const float* x, const Search& search, Compute& with) const {
  Memory& memory = *search.memory;
  memory.values.resize(memory.ids.size());
  std::vector<std::size_t> unknown;
  for (std::size_t i = 0, known = 0; i < memory.ids.size(); ++i) {
    while (known < search.known.size() && search.known[known] < memory.ids[i]) ++known;
    if (known < search.known.size() && search.known[known] == memory.ids[i]) {
      memory.values[i] = search.values[known];
    } else {
      unknown.push_back(i);
    }
  }
  multiply_rows(head, x, unknown, memory, with);
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
  const std::int64_t input_bytes = 2 * padded_;
  Buffer planes(queries.size() * static_cast<std::size_t>(input_bytes));  // (searches, 2, padded), aligned for loads of lines
  const auto planes_of = [&](std::size_t s) { return planes.as<std::int8_t>() + static_cast<std::int64_t>(s) * input_bytes; };
  for (std::size_t i = 0; i < queries.size(); ++i) {
    if (!is_answerable(queries[i])) continue;
    const Input input = quantise_input(x + static_cast<std::int64_t>(i) * cols_, planes_of(searches.size()));
    if (input.finite) searches.push_back({&queries[i], &memory[i], input, i});
  }
  if (searches.empty()) return answers;
  scan(searches, planes_of(0), with);
  for (std::size_t s = 0; s < searches.size(); ++s) {
    Search& search = searches[s];
    const float* input = x + static_cast<std::int64_t>(search.index) * cols_;
    reach(head, input, search, with);
    admit(search);
    refine(search, planes_of(s), with);
    if (!ask_for_more(search)) continue;
    multiply(head, input, search, with);
    answers[search.index] = LogitSet{search.memory->ids, search.memory->values};
  }
  return answers;
}

}  // namespace bitnet
