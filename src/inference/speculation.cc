// Computes drafts ahead and hands their logits out one by one.
#include "inference/speculation.h"

#include <algorithm>

#include "common/stopwatch.h"

namespace bitnet {

Speculation::Speculation(Transformer& transformer, Session& session, std::int64_t drafts, const DraftSource& source,
                         StepCosts& costs)
    : transformer_(transformer), session_(session), drafts_(drafts), source_(source), policy_(costs) {}

LogitSet Speculation::advance(const Generation& generation, std::int64_t wanted) {
  const Stopwatch stopwatch;
  const std::span<const TokenId> text = generation.history();
  const std::size_t position = session_.ids.size();
  const TokenId id = text.back();
  learn(text);
  const bool came_true = row_ + 1 < batch_.size() && batch_[row_ + 1].id == id;
  if (came_true) {
    ++row_, ++accepted_;
  } else {
    std::vector<TokenId> drafts = choose(text, wanted);
    // What the text cannot go on with is not computed.
    queries_ = generation.queries(drafts);
    drafts.resize(queries_.size() - 1);
    // Memory that the text itself does not need yet may be somebody else's.
    if (!session_.cache->has_room(static_cast<std::int64_t>(position + 1 + drafts.size()))) drafts.clear();
    drafted_ += static_cast<std::int64_t>(drafts.size());
    compute(id, drafts);
  }
  if (row_ == first_found_ + found_.size()) find();
  if (!came_true && drafts_ == drafts_auto) policy_.took(batch_.size() - 1, stopwatch.seconds());
  session_.ids.push_back(id);
  session_.cache->set_length(static_cast<std::int64_t>(position) + 1);
  return found_[row_ - first_found_];
}

void Speculation::forget() {
  batch_.clear(), queries_.clear(), found_.clear();
  row_ = first_found_ = 0;
  if (session_.cache) session_.cache->trim();
}

// What came to the text since the last step: one token, unless others computed some in between.
void Speculation::learn(std::span<const TokenId> text) {
  if (drafts_ == 0) return;
  const bool follows = learnt_ + 1 == text.size() && session_.lookup.ids().size() == learnt_;
  for (std::size_t i = learnt_ == 0 ? text.size() - 1 : learnt_; i < text.size(); ++i) policy_.saw(text[i]);
  learnt_ = text.size();
  if (!looks_up()) return;
  if (follows) {
    session_.lookup.append(text.back());
  } else {
    session_.lookup.set(text);
  }
}

// The drafts to compute. The last token that is drawn never is.
std::vector<TokenId> Speculation::choose(std::span<const TokenId> text, std::int64_t wanted) {
  const std::int64_t allowed = drafts_ == drafts_auto ? std::int64_t{most_measured_drafts} : drafts_;
  const std::int64_t bound = std::min({allowed, wanted - 1, transformer_.max_tokens() - 1});
  if (bound <= 0) return {};
  const auto most = static_cast<std::size_t>(bound);
  Draft draft = source_ ? source_(text, most) : session_.lookup.draft(most);
  const auto is_token = [&](TokenId id) { return id >= 0 && id < transformer_.n_vocab(); };
  draft.ids.erase(std::find_if_not(draft.ids.begin(), draft.ids.end(), is_token), draft.ids.end());
  draft.ids.resize(std::min(draft.ids.size(), most));
  if (drafts_ == drafts_auto) draft.ids.resize(policy_.choose(draft));
  return std::move(draft.ids);
}

// The text's last token, and what is assumed behind it.
void Speculation::compute(TokenId id, std::span<const TokenId> drafts) {
  KvCache* cache = session_.cache.get();
  auto position = static_cast<std::int64_t>(session_.ids.size());
  cache->reserve(position + 1 + static_cast<std::int64_t>(drafts.size()));
  batch_.assign(1, {id, cache, position});
  for (const TokenId draft : drafts) batch_.push_back({draft, cache, ++position});
  row_ = 0, first_found_ = 0, found_.clear();
  transformer_.forward(batch_);
}

// The logits of as many rows from row_ on as the head takes at a time: one reading of it for all.
void Speculation::find() {
  const std::size_t count = std::min(batch_.size() - row_, static_cast<std::size_t>(Transformer::head_rows));
  found_ = transformer_.find_logits(static_cast<std::int64_t>(row_), std::span(queries_).subspan(row_, count));
  first_found_ = row_;
}

}  // namespace bitnet
