// The tree of known beginnings, and which page to forget first.
#include "inference/prefix_cache.h"

#include <algorithm>

namespace bitnet {
namespace {

constexpr auto page_tokens = static_cast<std::size_t>(kv_chunk_positions);

}  // namespace

struct PrefixCache::Node {
  Node* parent = nullptr;
  std::string tenant;                                          // of a root
  std::vector<TokenId> ids;                                    // 64, none of a root
  KvPage page;                                                 // none of a root
  std::map<std::vector<TokenId>, std::unique_ptr<Node>> next;  // ordered, so that nobody can make names collide
  std::uint64_t used = 0;
};

PrefixCache::PrefixCache() = default;
PrefixCache::~PrefixCache() { clear(); }

// Children hang in chains as long as the context: taking leaf after leaf needs no recursion.
void PrefixCache::clear() {
  while (!leaves_.empty()) remove(leaves_.begin()->second);
}

PrefixCache::Node* PrefixCache::child(Node* parent, std::span<const TokenId> ids) const {
  const auto found = parent->next.find(std::vector<TokenId>(ids.begin(), ids.begin() + page_tokens));
  return found == parent->next.end() ? nullptr : found->second.get();
}

void PrefixCache::touch(Node* node) {
  const bool leaf = leaves_.erase({node->used, node}) > 0;
  node->used = ++clock_;
  if (leaf) leaves_.insert({node->used, node});
}

std::vector<KvPage> PrefixCache::find(const std::string& tenant, std::span<const TokenId> ids) {
  std::vector<KvPage> pages;
  const auto root = roots_.find(tenant);
  if (root == roots_.end()) return pages;
  for (Node* node = root->second.get(); ids.size() >= page_tokens; ids = ids.subspan(page_tokens)) {
    node = child(node, ids);
    if (node == nullptr) break;
    touch(node);
    pages.push_back(node->page);
  }
  return pages;
}

void PrefixCache::insert(const std::string& tenant, std::span<const TokenId> ids, std::span<const KvPage> pages) {
  if (ids.size() < page_tokens) return;
  Root& root = roots_[tenant];
  if (!root) root = std::make_unique<Node>(), root->tenant = tenant;
  Node* node = root.get();
  for (; ids.size() >= page_tokens; ids = ids.subspan(page_tokens), pages = pages.subspan(1)) {
    Node* known = child(node, ids);
    if (known == nullptr) {
      auto made = std::make_unique<Node>();
      made->parent = node;
      made->ids.assign(ids.begin(), ids.begin() + page_tokens);
      made->page = pages.front();
      made->used = ++clock_;
      known = made.get();
      leaves_.erase({node->used, node});
      leaves_.insert({known->used, known});
      node->next.emplace(known->ids, std::move(made));
      ++pages_;
    } else {
      touch(known);
    }
    node = known;
  }
}

bool PrefixCache::evict() {
  const auto oldest =
      std::find_if(leaves_.begin(), leaves_.end(), [](const Age& age) { return age.second->page.use_count() == 1; });
  if (oldest == leaves_.end()) return false;
  remove(oldest->second);
  return true;
}

void PrefixCache::remove(Node* leaf) {
  Node* parent = leaf->parent;
  leaves_.erase({leaf->used, leaf});
  parent->next.erase(std::vector<TokenId>(leaf->ids));
  --pages_;
  if (!parent->next.empty()) return;
  if (parent->page) {
    leaves_.insert({parent->used, parent});
  } else {
    roots_.erase(std::string(parent->tenant));
  }
}

}  // namespace bitnet
