// The table of merges.
#include "tokenizers/bpe_merge.h"

#include "common/error.h"

namespace bitnet {

void MergeTable::reserve(std::size_t merges) {
  std::size_t size = 16;
  while (size < 2 * merges) size *= 2;
  slots_.assign(size, {});
}

std::size_t MergeTable::place(std::uint64_t key) const {
  std::size_t at = static_cast<std::size_t>((key * 0x9e3779b97f4a7c15ull) >> 20) & (slots_.size() - 1);
  while (slots_[at].key != key && slots_[at].key != ~std::uint64_t{0}) at = (at + 1) & (slots_.size() - 1);
  return at;
}

void MergeTable::add(TokenId left, TokenId right, TokenId result) {
  const std::uint64_t key = static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  Slot& slot = slots_[place(key)];
  if (slot.key != key) slot = {key, static_cast<std::int32_t>(count_), result};
  ++count_;
}

std::optional<BpeMerge> MergeTable::find(TokenId left, TokenId right) const {
  if (slots_.empty() || left < 0 || right < 0) return std::nullopt;
  const std::uint64_t key = static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  const Slot& slot = slots_[place(key)];
  if (slot.key != key) return std::nullopt;
  return BpeMerge{static_cast<double>(slot.rank), slot.result};
}

MergeTable read_merges(const std::vector<std::string>& merges, const Tokenizer& tokenizer) {
  MergeTable table;
  table.reserve(merges.size());
  std::string whole;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::string_view merge = merges[i];
    // Parts hold no spaces of their own: byte-level vocabularies write them as U+0120, SentencePiece ones as U+2581.
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merge.size()) {
      fail(ErrorKind::bad_model, "tokenizer: merge {} is '{}', it must be two tokens with a space between", i,
           printable(merge));
    }
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    whole.assign(left).append(right);
    const auto left_id = tokenizer.find(left), right_id = tokenizer.find(right), result = tokenizer.find(whole);
    if (!left_id || !right_id || !result) {
      fail(ErrorKind::bad_model, "tokenizer: merge {} is '{}', but '{}' is no token", i, printable(merge),
           printable(!left_id    ? left
                     : !right_id ? right
                                 : std::string_view(whole)));
    }
    table.add(*left_id, *right_id, *result);
  }
  return table;
}

}  // namespace bitnet
