// TokenTrie: the bytes of a vocabulary's tokens, sorted into a tree that masks walk along.
#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace bitnet {

// Nodes stand in the order of a walk: a node, then all below it. Control tokens, unknown ones and those that end an answer are
// not in it, nor what has no bytes. Immutable.
class TokenTrie {
 public:
  struct Node {
    std::uint32_t next;          // behind all below it
    std::uint32_t tokens_begin;  // in tokens(); its own end where those of the node after it begin
    std::uint16_t depth;         // bytes up to it; 0 = the root
    std::uint8_t byte;
  };

  // `end_ids` end an answer. Reads every token once.
  TokenTrie(const Tokenizer& tokenizer, std::int64_t n_vocab, std::span<const TokenId> end_ids);

  std::uint32_t size() const { return static_cast<std::uint32_t>(nodes_.size() - 1); }
  const Node& node(std::uint32_t i) const { return nodes_[i]; }
  std::span<const TokenId> tokens_at(std::uint32_t i) const {
    return std::span(tokens_).subspan(nodes_[i].tokens_begin, nodes_[i + 1].tokens_begin - nodes_[i].tokens_begin);
  }
  std::size_t deepest() const { return deepest_; }
  std::int64_t n_vocab() const { return n_vocab_; }
  bool has_byte(std::uint8_t byte) const { return single_[byte]; }  // as a token of its own
  std::span<const TokenId> end_ids() const { return end_ids_; }
  LeadingSpace leading_space() const { return leading_space_; }

 private:
  std::vector<Node> nodes_;  // one more at the end, which only bounds the last one's tokens
  std::vector<TokenId> tokens_;
  std::vector<TokenId> end_ids_;
  std::bitset<256> single_;
  std::size_t deepest_ = 0;
  std::int64_t n_vocab_;
  LeadingSpace leading_space_;
};

}  // namespace bitnet
