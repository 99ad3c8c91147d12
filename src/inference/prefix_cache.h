// PrefixCache: pages of keys and values by the tokens they belong to, so that prompts with equal beginnings compute them once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "inference/kv_pages.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

// A tree whose edges are 64 tokens each: the keys and values of a position depend on all tokens before it, so a page is named
// by its path from the root, compared token by token, never by a hash alone. Each tenant has a root of its own: what one asks
// cannot be told from how fast another is answered. Whole pages only. Not thread safe.
class PrefixCache {
 public:
  PrefixCache();
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // The pages of the longest known beginning of `ids`, at most ids.size() / 64 of them; marks them as used now.
  std::vector<KvPage> find(const std::string& tenant, std::span<const TokenId> ids);

  // Remembers the whole pages of a sequence; where it knows one already it keeps that. `pages` are those of positions 0, 64,
  // ..., at least ids.size() / 64 of them, filled, and from now on not written to by anybody.
  void insert(const std::string& tenant, std::span<const TokenId> ids, std::span<const KvPage> pages);

  // Forgets the page that was used longest ago among those that no sequence holds and no other page continues; false when there
  // is none.
  bool evict();

  std::int64_t pages() const { return pages_; }  // held by the tree, by sequences too or not
  void clear();

 private:
  struct Node;
  using Root = std::unique_ptr<Node>;
  using Age = std::pair<std::uint64_t, Node*>;

  Node* child(Node* parent, std::span<const TokenId> ids) const;
  void touch(Node* node);
  void remove(Node* leaf);

  std::map<std::string, Root> roots_;
  std::set<Age> leaves_;  // by last use
  std::uint64_t clock_ = 0;
  std::int64_t pages_ = 0;
};

}  // namespace bitnet
