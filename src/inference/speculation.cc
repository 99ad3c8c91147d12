// Computes drafts ahead and hands their logits out one by one.
#include "inference/speculation.h"

#include <algorithm>

#include "common/stopwatch.h"

namespace bitnet {

Speculation::Speculation(Transformer& transformer, Session& session, std::span<const TokenId> prompt, std::int64_t drafts,
                         const DraftSource& source, StepCosts& costs)
    : transformer_(transformer),
      session_(session),
      drafts_(drafts),
      source_(source),
      policy_(costs),
      assumed_(prompt.begin(), prompt.end()) {
  if (looks_up()) session_.lookup.set(prompt);
}

LogitSet Speculation::advance(TokenId id, const Sampler& sampler, std::int64_t wanted) {
  const Stopwatch stopwatch;
  const std::size_t position = session_.ids.size();
  const bool came_true = row_ + 1 < batch_.size() && batch_[row_ + 1].id == id;
  if (looks_up()) session_.lookup.append(id);
  policy_.saw(id);
  if (came_true) {
    ++row_, ++accepted_;
  } else {
    assumed_.resize(position);
    assumed_.push_back(id);
    const std::vector<TokenId> drafts = choose(wanted);
    // Memory that the text itself does not need yet may be somebody else's.
    if (session_.cache->has_room(static_cast<std::int64_t>(position + 1 + drafts.size()))) {
      assumed_.insert(assumed_.end(), drafts.begin(), drafts.end());
      drafted_ += static_cast<std::int64_t>(drafts.size());
    }
    compute();
  }
  if (row_ == first_found_ + found_.size()) find(sampler);
  if (!came_true && drafts_ == drafts_auto) policy_.took(batch_.size() - 1, stopwatch.seconds());
  session_.ids.push_back(id);
  session_.cache->set_length(static_cast<std::int64_t>(position) + 1);
  return found_[row_ - first_found_];
}

// The drafts to compute. The last token that is sampled never is.
std::vector<TokenId> Speculation::choose(std::int64_t wanted) {
  const std::int64_t allowed = drafts_ == drafts_auto ? std::int64_t{most_measured_drafts} : drafts_;
  const std::int64_t most = std::min({allowed, wanted - 1, transformer_.max_tokens() - 1});
  if (most <= 0) return {};
  Draft draft = propose(static_cast<std::size_t>(most));
  if (drafts_ == drafts_auto) draft.ids.resize(policy_.choose(draft));
  return std::move(draft.ids);
}

Draft Speculation::propose(std::size_t most) {
  Draft draft = source_ ? source_(assumed_, most) : session_.lookup.draft(most);
  const auto is_token = [&](TokenId id) { return id >= 0 && id < transformer_.n_vocab(); };
  draft.ids.erase(std::find_if_not(draft.ids.begin(), draft.ids.end(), is_token), draft.ids.end());
  draft.ids.resize(std::min(draft.ids.size(), most));
  return draft;
}

// What is assumed behind the session's tokens.
void Speculation::compute() {
  KvCache* cache = session_.cache.get();
  cache->reserve(static_cast<std::int64_t>(assumed_.size()));
  batch_.clear();
  for (std::size_t i = session_.ids.size(); i < assumed_.size(); ++i)
    batch_.push_back({assumed_[i], cache, static_cast<std::int64_t>(i)});
  transformer_.forward(batch_);
  row_ = 0, first_found_ = 0, found_.clear();
}

// The logits of as many rows from row_ on as the head takes at a time: one reading of it for all.
void Speculation::find(const Sampler& sampler) {
  const std::size_t count = std::min(batch_.size() - row_, static_cast<std::size_t>(Transformer::head_rows));
  std::vector<LogitQuery> queries;
  for (std::size_t row = row_; row < row_ + count; ++row)
    queries.push_back(sampler.query(std::span(assumed_).first(assumed_.size() - (batch_.size() - 1 - row))));
  found_ = transformer_.find_logits(static_cast<std::int64_t>(row_), queries);
  first_found_ = row_;
}

}  // namespace bitnet
