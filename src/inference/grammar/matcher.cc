// One text's walk through its grammar; forgets now and then what it will not come back to.
#include "inference/grammar/matcher.h"

#include <algorithm>
#include <utility>

namespace bitnet {
namespace {

constexpr std::size_t usual_memory = 8u << 20;

}  // namespace

GrammarMatcher::GrammarMatcher(std::shared_ptr<const Grammar> grammar)
    : grammar_(std::move(grammar)), states_(*grammar_), now_(states_.start()), memory_limit_(usual_memory) {}

GrammarMatcher::GrammarMatcher(const GrammarMatcher& other)
    : grammar_(other.grammar_),
      states_(*grammar_),
      now_(other.now_),
      memory_limit_(other.memory_limit_),
      renamings_(other.renamings_ + 1) {
  states_ = other.states_.only(now_);
}

GrammarMatcher& GrammarMatcher::operator=(GrammarMatcher other) noexcept {
  const std::uint64_t renamings = std::max(renamings_, other.renamings_) + 1;
  grammar_ = std::move(other.grammar_);
  states_ = std::move(other.states_);
  now_ = other.now_, memory_limit_ = other.memory_limit_, renamings_ = renamings;
  return *this;
}

bool GrammarMatcher::accept(std::string_view bytes) {
  MatchStates::Id next = now_;
  states_.start_walk();
  for (const char byte : bytes) {
    next = states_.step(next, grammar_->byte_class(static_cast<std::uint8_t>(byte)));
    if (next == MatchStates::dead) return false;
  }
  now_ = next;
  if (states_.memory() > memory_limit_) {
    states_ = states_.only(now_);
    memory_limit_ = std::max(usual_memory, states_.memory() * 2);
    ++renamings_;
  }
  return true;
}

std::bitset<256> GrammarMatcher::next_bytes() const {
  std::bitset<256> bytes;
  for (const PairSets::Pair& thread : states_.threads(now_)) {
    for (const Grammar::ByteEdge& edge : grammar_->edges(grammar_->state(thread.first))) {
      for (std::size_t byte = edge.first; byte <= edge.last; ++byte) bytes[byte] = true;
    }
  }
  return bytes;
}

}  // namespace bitnet
