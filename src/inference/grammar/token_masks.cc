// Walks the tree of tokens along a grammar's automaton.
#include "inference/grammar/token_masks.h"

#include <bit>
#include <utility>

#include "common/error.h"

namespace bitnet {
namespace {

constexpr std::size_t most_local_bytes = 16u << 20;  // kept; then all are forgotten and found again as needed
constexpr std::size_t few_tokens = 512;              // kept as a list
constexpr std::size_t most_exits = 1 << 15;          // places in the tree where a rule may end, worth keeping

}  // namespace

std::size_t TokenSet::count() const {
  std::size_t count = 0;
  for (const std::uint64_t word : words_) count += static_cast<std::size_t>(std::popcount(word));
  return count;
}

std::vector<TokenId> TokenSet::ids() const {
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    for (std::uint64_t word = words_[i]; word != 0; word &= word - 1)
      ids.push_back(static_cast<TokenId>(i * 64 + static_cast<std::size_t>(std::countr_zero(word))));
  }
  return ids;
}

struct TokenMasks::Local {
  std::vector<TokenId> few;
  std::unique_ptr<TokenSet> many;    // instead
  std::vector<std::uint32_t> exits;  // nodes at which the rule may have ended
  bool whole = false;                // too many exits: nothing is kept, walk from the thread itself

  std::size_t bytes() const {
    return sizeof(Local) + few.size() * sizeof(TokenId) + exits.size() * sizeof(std::uint32_t) + (many ? many->bytes() : 0);
  }
};

TokenMasks::TokenMasks(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie)
    : grammar_(std::move(grammar)), trie_(std::move(trie)), classes_(trie_->size()) {
  for (int byte = 0; byte < 256; ++byte) {
    const auto b = static_cast<std::uint8_t>(byte);
    if (grammar_->uses(b) && !trie_->has_byte(b))
      fail(ErrorKind::unsupported, "the vocabulary has no token for the single byte 0x{:02x}, which the constraint needs",
           byte);
  }
  for (std::uint32_t i = 0; i < trie_->size(); ++i) classes_[i] = grammar_->byte_class(trie_->node(i).byte);
}

// Calls visit(node, state) for the nodes below `node` that are reached alive, in order.
template <class Visit>
void TokenMasks::walk(MatchStates& states, MatchStates::Id from, std::uint32_t node, Visit visit) const {
  const std::size_t base = trie_->node(node).depth;
  std::vector<MatchStates::Id> path(trie_->deepest() - base + 1);
  path[0] = from;
  const std::uint32_t end = trie_->node(node).next;
  for (std::uint32_t i = node + 1; i < end;) {
    const TokenTrie::Node& at = trie_->node(i);
    const std::size_t depth = at.depth - base;
    const MatchStates::Id next = states.step(path[depth - 1], classes_[i]);
    if (next == MatchStates::dead) {
      i = at.next;
      continue;
    }
    path[depth] = next;
    visit(i, next);
    ++i;
  }
}

void TokenMasks::add_below(MatchStates& states, MatchStates::Id from, std::uint32_t node, TokenSet& out) const {
  walk(states, from, node, [&](std::uint32_t i, MatchStates::Id) {
    for (const TokenId id : trie_->tokens_at(i)) out.add(id);
  });
}

std::shared_ptr<const TokenMasks::Local> TokenMasks::walk_local(std::int32_t state) const {
  auto found = std::make_shared<Local>();
  MatchStates states(*grammar_);
  std::vector<TokenId> tokens;
  walk(states, states.single(state, MatchStates::bottom), 0, [&](std::uint32_t i, MatchStates::Id id) {
    const auto here = trie_->tokens_at(i);
    tokens.insert(tokens.end(), here.begin(), here.end());
    if (states.can_end(id) && trie_->node(i).next > i + 1) found->exits.push_back(i);
  });
  if (found->exits.size() > most_exits) {
    found->exits = {}, found->whole = true;
  } else if (tokens.size() <= few_tokens) {
    found->few = std::move(tokens);
  } else {
    found->many = std::make_unique<TokenSet>(trie_->n_vocab());
    for (const TokenId id : tokens) found->many->add(id);
  }
  return found;
}

std::shared_ptr<const TokenMasks::Local> TokenMasks::local(std::int32_t state) const {
  {
    const std::lock_guard lock(mutex_);
    const auto known = locals_.find(state);
    if (known != locals_.end()) return known->second;
  }
  // Two threads may find the same at the same time, and both are right.
  std::shared_ptr<const Local> found = walk_local(state);
  const std::lock_guard lock(mutex_);
  if (local_bytes_ + found->bytes() > most_local_bytes) locals_.clear(), local_bytes_ = 0;
  if (locals_.try_emplace(state, found).second) local_bytes_ += found->bytes();
  return found;
}

void TokenMasks::allowed(GrammarMatcher& matcher, bool first, TokenSet& out) const {
  MatchStates& states = matcher.states();
  states.start_walk();
  out.clear();
  if (first && trie_->leading_space() != LeadingSpace::keep) {
    for (std::uint32_t i = 1; i < trie_->size(); i = trie_->node(i).next) {
      if (trie_->node(i).byte == ' ') {
        add_below(states, matcher.now(), i, out);
        continue;
      }
      const MatchStates::Id next = states.step(matcher.now(), classes_[i]);
      if (next == MatchStates::dead) continue;
      for (const TokenId id : trie_->tokens_at(i)) out.add(id);
      add_below(states, next, i, out);
    }
    return;
  }
  const std::span<const PairSets::Pair> now = states.threads(matcher.now());
  const std::vector<PairSets::Pair> threads(now.begin(), now.end());  // walks may move what `now` looks at
  for (const PairSets::Pair& thread : threads) {
    const std::shared_ptr<const Local> local = this->local(thread.first);
    if (local->whole) {
      add_below(states, states.single(thread.first, thread.second), 0, out);
      continue;
    }
    if (local->many) out.add_all(*local->many);
    for (const TokenId id : local->few) out.add(id);
    if (local->exits.empty()) continue;
    const MatchStates::Id behind = states.behind(thread.second);
    if (states.threads(behind).empty()) continue;
    for (const std::uint32_t exit : local->exits) add_below(states, behind, exit, out);
  }
}

}  // namespace bitnet
