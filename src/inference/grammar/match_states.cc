// Steps of a pushdown automaton over sets: what is read, what ends with it, and what is called then.
#include "inference/grammar/match_states.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "common/error.h"

namespace bitnet {
namespace {

using Pair = PairSets::Pair;

constexpr std::size_t most_items = 1 << 16;      // of one step
constexpr std::size_t most_work = 1 << 22;       // items of one walk
constexpr std::size_t most_memory = 256u << 20;  // of all
constexpr Pair end_mark = {-1, -1};

std::uint64_t hash_of(std::span<const Pair> pairs) {
  std::uint64_t hash = 0x9e3779b97f4a7c15ull;
  for (const Pair& pair : pairs) {
    hash ^= static_cast<std::uint64_t>(static_cast<std::uint32_t>(pair.first)) << 32 | static_cast<std::uint32_t>(pair.second);
    hash *= 0xff51afd7ed558ccdull;
    hash ^= hash >> 32;
  }
  return hash;
}

// Pairs that were seen; a handful as a rule.
class Seen {
 public:
  bool add(const Pair& pair) {
    const std::uint64_t key =
        static_cast<std::uint64_t>(static_cast<std::uint32_t>(pair.first)) << 32 | static_cast<std::uint32_t>(pair.second);
    if (few_.size() < 24) {
      if (std::find(few_.begin(), few_.end(), key) != few_.end()) return false;
      few_.push_back(key);
      return true;
    }
    if (many_.empty()) many_.insert(few_.begin(), few_.end());
    return many_.insert(key).second;
  }

 private:
  std::vector<std::uint64_t> few_;
  std::unordered_set<std::uint64_t> many_;
};

}  // namespace

std::int32_t PairSets::intern(std::span<const Pair> sorted) {
  if ((size() + 1) * 2 > table_.size()) grow();
  const std::uint64_t hash = hash_of(sorted);
  const std::size_t mask = table_.size() - 1;
  std::size_t at = hash & mask;
  for (; table_[at] >= 0; at = (at + 1) & mask) {
    const std::int32_t id = table_[at];
    if (hashes_[static_cast<std::size_t>(id)] != hash) continue;
    const std::span<const Pair> there = (*this)[id];
    if (std::equal(there.begin(), there.end(), sorted.begin(), sorted.end())) return id;
  }
  const auto id = static_cast<std::int32_t>(size());
  table_[at] = id;
  hashes_.push_back(hash);
  pairs_.insert(pairs_.end(), sorted.begin(), sorted.end());
  begins_.push_back(pairs_.size());
  return id;
}

void PairSets::grow() {
  table_.assign(std::max<std::size_t>(64, table_.size() * 2), -1);
  for (std::size_t id = 0; id < hashes_.size(); ++id) {
    std::size_t at = hashes_[id] & (table_.size() - 1);
    while (table_[at] >= 0) at = (at + 1) & (table_.size() - 1);
    table_[at] = static_cast<std::int32_t>(id);
  }
}

MatchStates::MatchStates(const Grammar& grammar) : grammar_(&grammar), classes_(grammar.class_count()) {
  sets_.intern({});
  stacks_.intern({&end_mark, 1});
}

MatchStates::Id MatchStates::start() {
  // As if a state called the root and the text ended behind it.
  const Grammar::Rule& root = grammar_->rule(grammar_->root());
  return close({{root.start, bottom}}, grammar_->is_nullable());
}

MatchStates::Id MatchStates::single(std::int32_t state, std::int32_t stack) {
  const Pair thread = {state, stack};
  return sets_.intern({&thread, 1});
}

MatchStates::Id MatchStates::behind(std::int32_t stack) {
  std::vector<Pair> items;
  bool ends = false;
  for (const Pair& frame : stacks_[stack]) {
    if (frame == end_mark) {
      ends = true;
    } else {
      items.push_back(frame);
    }
  }
  return close(std::move(items), ends);
}

bool MatchStates::can_end(Id id) const {
  const std::span<const Pair> set = sets_[id];
  return !set.empty() && set[0] == end_mark;
}

std::span<const Pair> MatchStates::threads(Id id) const { return sets_[id].subspan(can_end(id) ? 1 : 0); }

MatchStates::Id MatchStates::find_step(Id from, std::uint8_t byte_class) {
  const std::uint8_t byte = grammar_->byte_of_class(byte_class);
  std::vector<Pair> items;
  for (const Pair& thread : threads(from)) {
    for (const Grammar::ByteEdge& edge : grammar_->edges(grammar_->state(thread.first))) {
      if (edge.first <= byte && byte <= edge.last) items.push_back({edge.to, thread.second});
    }
  }
  const Id to = items.empty() ? dead : close(std::move(items), false);
  if (next_.size() < sets_.size() * classes_)
    next_.resize(std::max(sets_.size() * classes_, next_.size() + next_.size() / 2), -1);
  return next_[static_cast<std::size_t>(from) * classes_ + byte_class] = to;
}

// `items` are threads that have just arrived at their states. First those whose rules end go on in what called them; then rules
// are called, callers before what they call first, so that each called rule gets one stack, the union of all its callers.
MatchStates::Id MatchStates::close(std::vector<Pair> items, bool ends) {
  Seen seen;
  std::vector<Pair> set;
  std::map<std::pair<std::int32_t, std::int32_t>, std::vector<Pair>> called;  // (order, rule) -> frames
  std::size_t work = 0;
  const auto note_work = [&](std::size_t steps) {
    if ((work += steps) > most_items || (work_ += steps) > most_work || memory() > most_memory)
      fail(ErrorKind::too_big, "the grammar is too ambiguous here: too many ways to go on are open");
  };
  const auto call_from = [&](const Grammar::State& state, std::int32_t stack) {
    for (const Grammar::Call& call : grammar_->calls(state)) {
      std::vector<Pair>& frames = called[{grammar_->rule(call.rule).order, call.rule}];
      const Grammar::State& back = grammar_->state(call.back);
      const bool is_tail = back.accepts && back.edges_begin == back.edges_end && back.calls_begin == back.calls_end;
      note_work(1);
      if (!is_tail) {
        frames.push_back({call.back, stack});
        continue;
      }
      // Nothing stands behind the call: its end is the caller's, and a right-recursive rule takes no memory.
      const std::span<const Pair> below = stacks_[stack];
      note_work(below.size());
      frames.insert(frames.end(), below.begin(), below.end());
    }
  };
  while (!items.empty()) {
    const Pair item = items.back();
    items.pop_back();
    if (!seen.add(item)) continue;
    note_work(1);
    const Grammar::State& state = grammar_->state(item.first);
    if (state.edges_begin != state.edges_end) set.push_back(item);
    call_from(state, item.second);
    if (!state.accepts) continue;
    note_work(stacks_[item.second].size());
    for (const Pair& frame : stacks_[item.second]) {
      if (frame == end_mark) {
        ends = true;
      } else {
        items.push_back(frame);
      }
    }
  }
  while (!called.empty()) {
    auto node = called.extract(called.begin());
    std::vector<Pair>& frames = node.mapped();
    std::sort(frames.begin(), frames.end());
    frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
    const std::int32_t stack = stacks_.intern(frames), start = grammar_->rule(node.key().second).start;
    const Grammar::State& state = grammar_->state(start);
    if (state.edges_begin != state.edges_end) set.push_back({start, stack});
    call_from(state, stack);
  }
  if (ends) set.push_back(end_mark);
  std::sort(set.begin(), set.end());
  return sets_.intern(set);
}

MatchStates MatchStates::only(Id& id) const {
  MatchStates out(*grammar_);
  std::vector<bool> wanted(stacks_.size());
  std::vector<std::int32_t> open;
  const auto want = [&](std::int32_t stack) {
    if (stack < 0 || wanted[static_cast<std::size_t>(stack)]) return;
    wanted[static_cast<std::size_t>(stack)] = true;
    open.push_back(stack);
  };
  for (const Pair& thread : sets_[id]) want(thread.second);
  while (!open.empty()) {
    const std::int32_t stack = open.back();
    open.pop_back();
    for (const Pair& frame : stacks_[stack]) want(frame.second);
  }
  // A stack's number is higher than those below it, so all that it needs is there, and lists stay sorted.
  std::vector<std::int32_t> renamed(stacks_.size(), -1);
  const auto rename = [&](std::span<const Pair> pairs) {
    std::vector<Pair> copy(pairs.begin(), pairs.end());
    for (Pair& pair : copy) pair.second = pair.second < 0 ? -1 : renamed[static_cast<std::size_t>(pair.second)];
    return copy;
  };
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i]) renamed[i] = out.stacks_.intern(rename(stacks_[static_cast<std::int32_t>(i)]));
  }
  id = out.sets_.intern(rename(sets_[id]));
  return out;
}

}  // namespace bitnet
