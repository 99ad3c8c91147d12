// Chains n-grams by their hash, so that the text can grow and shrink at its end.
#include "inference/prompt_lookup.h"

#include <algorithm>
#include <utility>

namespace bitnet {
namespace {

constexpr std::size_t smallest_table = 1024;
constexpr int most_steps = 64;  // along a chain: n-grams that share a hash by chance are few

}  // namespace

std::size_t PromptLookup::slot(std::size_t length, std::size_t end) const {
  std::uint64_t hash = 0;
  for (std::size_t i = end - length; i < end; ++i) {
    hash = (hash ^ static_cast<std::uint64_t>(static_cast<std::uint32_t>(ids_[i]))) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
  }
  return static_cast<std::size_t>(hash) & (indices_[length - shortest].latest.size() - 1);
}

void PromptLookup::set(std::span<const TokenId> ids) {
  const auto same = std::mismatch(ids_.begin(), ids_.end(), ids.begin(), ids.end());
  truncate(static_cast<std::size_t>(same.first - ids_.begin()));
  for (auto id = same.second; id != ids.end(); ++id) append(*id);
}

void PromptLookup::append(TokenId id) {
  ids_.push_back(id);
  if (ids_.size() > indices_.front().latest.size()) {
    grow();
  } else {
    add(ids_.size());
  }
}

void PromptLookup::add(std::size_t end) {
  for (std::size_t length = shortest; length <= longest; ++length) {
    Index& index = indices_[length - shortest];
    index.earlier.resize(end + 1);
    if (end < length) continue;
    std::uint32_t& latest = index.latest[slot(length, end)];
    index.earlier[end] = std::exchange(latest, static_cast<std::uint32_t>(end));
  }
}

// Undoes add() from the last token on.
void PromptLookup::truncate(std::size_t length) {
  for (; ids_.size() > length; ids_.pop_back()) {
    const std::size_t end = ids_.size();
    for (std::size_t n = shortest; n <= std::min(longest, end); ++n) {
      Index& index = indices_[n - shortest];
      index.latest[slot(n, end)] = index.earlier[end];
    }
  }
}

void PromptLookup::grow() {
  const std::size_t size = std::max(smallest_table, 2 * indices_.front().latest.size());
  for (Index& index : indices_) {
    index.latest.assign(size, 0);
    index.earlier.assign(1, 0);
  }
  for (std::size_t end = 1; end <= ids_.size(); ++end) add(end);
}

// Where the text's last `length` tokens stood before; 0 = nowhere.
std::size_t PromptLookup::earlier_end(std::size_t length) const {
  const std::vector<std::uint32_t>& earlier = indices_[length - shortest].earlier;
  const auto suffix = ids_.end() - static_cast<std::ptrdiff_t>(length);
  std::size_t end = earlier[ids_.size()];
  for (int step = 0; end != 0 && step < most_steps; ++step, end = earlier[end]) {
    if (std::equal(suffix, ids_.end(), ids_.begin() + static_cast<std::ptrdiff_t>(end - length))) return end;
  }
  return 0;
}

Draft PromptLookup::draft(std::size_t most) const {
  for (std::size_t length = std::min(longest, ids_.size()); length >= shortest; --length) {
    const std::size_t end = earlier_end(length);
    if (end == 0) continue;
    Draft draft;
    for (std::size_t i = 0; i < most; ++i)
      draft.ids.push_back(end + i < ids_.size() ? ids_[end + i] : draft.ids[end + i - ids_.size()]);
    draft.matched = length;
    while (draft.matched < std::min(most_matched, end) &&
           ids_[end - draft.matched - 1] == ids_[ids_.size() - draft.matched - 1])
      ++draft.matched;
    return draft;
  }
  return {};
}

}  // namespace bitnet
