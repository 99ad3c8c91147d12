// Engine::embed: texts to vectors, several in a batch.
#include <deque>

#include "inference/engine.h"
#include "inference/engine_parts.h"
#include "inference/pooling.h"

namespace bitnet {
namespace {

// A text on its way through the transformer; `row` and `rows` are its part of the batch.
struct TextInWork {
  std::size_t index;
  std::int64_t tokens;
  Session session;
  PooledText pooled;
  std::int64_t row = 0, rows = 0;

  bool done() const { return session.cache->length() == tokens; }

  // As many of the text's next ids as the batch has room for.
  void add_to(std::vector<BatchToken>& batch, std::span<const TokenId> ids, std::int64_t most) {
    const std::int64_t start = session.cache->length();
    row = static_cast<std::int64_t>(batch.size()), rows = std::min(tokens - start, most - row);
    session.cache->reserve(start + rows);
    for (std::int64_t i = start; i < start + rows; ++i)
      batch.push_back({ids[static_cast<std::size_t>(i)], session.cache.get(), i});
  }

  void take_from(Transformer& transformer) {
    const std::int64_t start = session.cache->length();
    for (std::int64_t i = 0; i < rows; ++i) {
      if (pooled.wants(start + i)) pooled.add(transformer.hidden(row + i, 1));
    }
    session.cache->set_length(start + rows);
  }
};

}  // namespace

void Engine::embed(std::span<const std::vector<TokenId>> texts, const EmbedOptions& options, const EmbeddingSink& sink) {
  for (std::size_t i = 0; i < texts.size(); ++i) check_ids(texts[i], fmt::format("text {}", i + 1));
  const Pooling asked = options.pooling == Pooling::none ? config().pooling : options.pooling;
  const Pooling pooling = asked == Pooling::none ? Pooling::last : asked;
  constexpr std::size_t together = 16;  // texts in a batch: each takes whole chunks of 64 positions of cache
  Transformer& transformer = *parts_->transformer;
  std::deque<TextInWork> work;  // of which a batch that is full leaves the last one unfinished
  std::vector<BatchToken> batch;
  for (std::size_t next = 0; next < texts.size() || !work.empty();) {
    if (options.cancel != nullptr && *options.cancel) return;
    batch.clear();
    for (std::size_t i = 0; static_cast<std::int64_t>(batch.size()) < transformer.max_tokens(); ++i) {
      if (i == work.size()) {
        if (next == texts.size() || i == together) break;
        const auto tokens = static_cast<std::int64_t>(texts[next].size());
        work.push_back({next++, tokens, new_session(), PooledText(pooling, tokens)});
      }
      work[i].add_to(batch, texts[work[i].index], transformer.max_tokens());
    }
    transformer.forward(batch);
    for (TextInWork& text : work) text.take_from(transformer);
    for (; !work.empty() && work.front().done(); work.pop_front()) {
      sink(work.front().index, work.front().pooled.finish(options.normalise));
    }
  }
}

}  // namespace bitnet
