// TokenMasks: which tokens may follow in a grammar?
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "inference/grammar/matcher.h"
#include "inference/grammar/token_trie.h"

namespace bitnet {

// A set of ids below n_vocab.
class TokenSet {
 public:
  explicit TokenSet(std::int64_t n_vocab) : words_((static_cast<std::size_t>(n_vocab) + 63) / 64) {}
  void add(TokenId id) { words_[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64); }
  bool has(TokenId id) const { return words_[static_cast<std::size_t>(id) / 64] >> (id % 64) & 1; }
  void add_all(const TokenSet& other) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  }
  void clear() { words_.assign(words_.size(), 0); }
  std::size_t count() const;
  std::vector<TokenId> ids() const;  // ascending
  std::size_t bytes() const { return words_.size() * sizeof(words_[0]); }
  bool operator==(const TokenSet&) const = default;

 private:
  std::vector<std::uint64_t> words_;
};

// A grammar over one vocabulary. What a state of a rule allows as long as the rule has not ended is the same on whatever stack,
// so it is found once, by a walk over the whole tree, and kept; what follows when the rule ends within a token is walked each
// time, from where it ended. Safe to share between threads.
class TokenMasks {
 public:
  // Throws Error{unsupported} for a vocabulary that lacks a single-byte token for a byte that the grammar uses: a text could
  // come to a place where no token fits. Byte-level vocabularies and those with byte tokens have them all.
  TokenMasks(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie);

  // The tokens whose bytes matcher.accept() would take, which are those after which some text still ends; end tokens are not
  // among them. `first`: nothing has been written yet, so a leading space is dropped where the tokenizer says so. Throws
  // Error{too_big} as accept() does.
  void allowed(GrammarMatcher& matcher, bool first, TokenSet& out) const;

  const std::shared_ptr<const Grammar>& grammar() const { return grammar_; }
  const TokenTrie& trie() const { return *trie_; }

 private:
  // What threads at one state allow while their rule lasts.
  struct Local;
  std::shared_ptr<const Local> local(std::int32_t state) const;
  std::shared_ptr<const Local> walk_local(std::int32_t state) const;
  template <class Visit>
  void walk(MatchStates& states, MatchStates::Id from, std::uint32_t node, Visit visit) const;
  void add_below(MatchStates& states, MatchStates::Id from, std::uint32_t node, TokenSet& out) const;

  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const TokenTrie> trie_;
  std::vector<std::uint8_t> classes_;  // of the nodes' bytes
  mutable std::mutex mutex_;           // of what follows
  mutable std::unordered_map<std::int32_t, std::shared_ptr<const Local>> locals_;
  mutable std::size_t local_bytes_ = 0;
};

}  // namespace bitnet
