// Engine::embed: texts to vectors, several in a batch.
#include <deque>

#include "inference/engine.h"
#include "inference/engine_parts.h"
#include "inference/pooling.h"

namespace bitnet {
namespace {

// A text on its way through the transformer; `rows` of the last batch are its own.
struct TextInWork {
  std::size_t index;
  std::span<const TokenId> left;  // ids that are still to be computed
  Session session;
  PooledText pooled;
  std::int64_t rows = 0;
};

}  // namespace

void Engine::embed(std::span<const std::vector<TokenId>> texts, const EmbedOptions& options, const EmbeddingSink& sink) {
  for (std::size_t i = 0; i < texts.size(); ++i) check_ids(texts[i], fmt::format("text {}", i + 1));
  const Pooling asked = options.pooling == Pooling::none ? config().pooling : options.pooling;
  const Pooling pooling = asked == Pooling::none ? Pooling::last : asked;
  constexpr std::size_t together = 16;  // texts in a batch: each takes whole chunks of 64 positions of cache
  std::deque<TextInWork> work;          // of which a batch that is full leaves the last one unfinished
  for (std::size_t next = 0; next < texts.size() || !work.empty();) {
    if (options.cancel != nullptr && *options.cancel) return;
    std::int64_t room = max_batch();
    std::vector<Piece> pieces;
    for (std::size_t i = 0; room > 0; ++i) {
      if (i == work.size()) {
        if (next == texts.size() || i == together) break;
        const std::vector<TokenId>& ids = texts[next];
        work.push_back({next++, ids, new_session(), PooledText(pooling, static_cast<std::int64_t>(ids.size()))});
      }
      TextInWork& text = work[i];
      text.rows = std::min(room, static_cast<std::int64_t>(text.left.size()));
      pieces.push_back({&text.session, text.left.first(static_cast<std::size_t>(text.rows))});
      text.left = text.left.subspan(static_cast<std::size_t>(text.rows));
      room -= text.rows;
    }
    forward(pieces);
    std::int64_t row = 0;
    for (TextInWork& text : work) {
      for (std::int64_t i = text.session.cache->length() - text.rows; i < text.session.cache->length(); ++i, ++row) {
        if (text.pooled.wants(i)) text.pooled.add(parts_->transformer->hidden(row, 1));
      }
    }
    for (; !work.empty() && work.front().left.empty(); work.pop_front())
      sink(work.front().index, work.front().pooled.finish(options.normalise));
  }
}

}  // namespace bitnet
