// Runs sequences through the layers and takes the softmax of the logits that matter.
#include "inference/likelihood.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "common/error.h"
#include "inference/token_score.h"
#include "kernels/log_softmax.h"

namespace bitnet {
namespace {

using Logits = std::span<const float>;

// A part of a text that goes through the layers behind its session; the logits behind ids[i] are used for i >= wanted.
struct Stretch {
  Session* session;
  std::span<const TokenId> ids;
  std::int64_t wanted;
};

// Calls use(stretch, i, logits) once for each wanted row, on the engine's threads. Stretches share forward passes, and long
// ones take several.
using UseRow = std::function<void(std::size_t stretch, std::int64_t i, Logits logits)>;
void run(Engine& engine, std::span<const Stretch> stretches, const std::function<void()>& between_passes, const UseRow& use) {
  struct Part {
    std::size_t stretch;
    std::int64_t begin, end;  // of its ids
  };
  std::size_t next = 0;
  std::int64_t at = 0;  // ids of stretches[next] that are done
  while (next < stretches.size()) {
    std::vector<Engine::Piece> pieces;
    std::vector<Part> parts;
    for (std::int64_t room = engine.max_batch(); room > 0 && next < stretches.size();) {
      const Stretch& s = stretches[next];
      const std::int64_t size = static_cast<std::int64_t>(s.ids.size()), count = std::min(room, size - at);
      if (count > 0) {
        pieces.push_back({s.session, s.ids.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(count))});
        parts.push_back({next, at, at + count});
      }
      room -= count, at += count;
      if (at == size) ++next, at = 0;
    }
    if (pieces.empty()) return;
    if (between_passes) between_passes();
    engine.forward(pieces);
    const auto n_vocab = static_cast<std::size_t>(engine.config().n_vocab);
    std::int64_t row = 0;
    for (const Part& part : parts) {
      const std::int64_t wanted = std::max(part.begin, stretches[part.stretch].wanted);
      for (std::int64_t i = wanted; i < part.end; i += Engine::logit_rows) {
        const std::int64_t rows = std::min(Engine::logit_rows, part.end - i);
        const Logits logits = engine.read_logits(row + i - part.begin, rows);
        engine.each(rows, [&](std::int64_t r) {
          use(part.stretch, i + r, logits.subspan(static_cast<std::size_t>(r) * n_vocab, n_vocab));
        });
      }
      row += part.end - part.begin;
    }
  }
}

void truncate(Session& session, std::size_t length) {
  session.ids.resize(length);
  session.cache->set_length(static_cast<std::int64_t>(length));
}

std::size_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

TokenLikelihood likelihood(Logits logits, TokenId id) {
  const Prediction prediction(logits);
  return {prediction.log_probability(id), prediction.top() == id};
}

// A choice as the model reads it: its last token is only predicted.
struct Reading {
  std::vector<TokenId> ids;
  std::size_t first;  // of the continuation
  std::int64_t dropped;
  std::vector<TokenLikelihood> found;  // of ids[first] and later

  std::span<const TokenId> read() const { return std::span(ids).first(ids.size() - 1); }
  void note(std::size_t position, Logits logits) {  // logits behind ids[position]
    if (position + 1 >= first) found[position + 1 - first] = likelihood(logits, ids[position + 1]);
  }
};

Reading reading(const Choice& choice, std::int64_t n_ctx) {
  const std::size_t all = choice.context.size() + choice.continuation.size(), room = static_cast<std::size_t>(n_ctx) + 1;
  if (choice.continuation.size() >= room) {
    fail(ErrorKind::too_big, "an answer has {} tokens, the context holds {}", choice.continuation.size(), n_ctx);
  }
  const std::size_t dropped = all > room ? all - room : 0;
  Reading r{choice.context, choice.context.size() - dropped, static_cast<std::int64_t>(dropped), {}};
  r.ids.erase(r.ids.begin(), r.ids.begin() + static_cast<std::ptrdiff_t>(dropped));
  r.ids.insert(r.ids.end(), choice.continuation.begin(), choice.continuation.end());
  r.found.resize(choice.continuation.size());
  return r;
}

ChoiceLikelihood sum(const Reading& reading) {
  ChoiceLikelihood result{0, true, reading.dropped};
  for (const TokenLikelihood& token : reading.found) {
    result.log_probability += token.log_probability;
    result.is_top = result.is_top && token.is_top;
  }
  return result;
}

}  // namespace

Session& LikelihoodScorer::session(std::size_t index) {
  while (sessions_.size() <= index) sessions_.push_back(engine_.new_session());
  return sessions_[index];
}

std::vector<std::vector<TokenLikelihood>> LikelihoodScorer::score(std::span<const ScoredSequence> sequences) {
  std::vector<std::vector<TokenLikelihood>> found;
  std::vector<Stretch> stretches;
  for (std::size_t i = 0; i < sequences.size(); ++i) session(i);  // before any address is taken
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const ScoredSequence& s = sequences[i];
    found.emplace_back(s.ids.size() - static_cast<std::size_t>(s.first));
    truncate(sessions_[i], 0);
    stretches.push_back({&sessions_[i], std::span(s.ids).first(found[i].empty() ? 0 : s.ids.size() - 1), s.first - 1});
  }
  run(engine_, stretches, between_passes_, [&](std::size_t i, std::int64_t at, Logits logits) {
    const ScoredSequence& s = sequences[i];
    found[i][static_cast<std::size_t>(at + 1 - s.first)] = likelihood(logits, s.ids[static_cast<std::size_t>(at) + 1]);
  });
  return found;
}

std::vector<ChoiceLikelihood> LikelihoodScorer::score_choices(std::span<const Choice> choices) {
  if (choices.empty()) return {};
  std::vector<Reading> readings;
  for (const Choice& choice : choices) readings.push_back(reading(choice, engine_.n_ctx()));
  std::size_t shared = readings.front().ids.size() - 1, earliest = readings.front().first;
  for (const Reading& r : readings) {
    shared = std::min(shared, common_prefix(readings.front().read(), r.read()));
    earliest = std::min(earliest, r.first);
  }
  session(choices.size() - 1);
  // What the first session holds already is not computed again, unless its logits are wanted.
  const auto start = readings.front().read().first(shared);
  const std::size_t held = std::min(common_prefix(sessions_[0].ids, start), earliest - 1);
  truncate(sessions_[0], held);
  const Stretch trunk{&sessions_[0], start.subspan(held), static_cast<std::int64_t>(earliest - 1 - held)};
  run(engine_, std::span(&trunk, 1), between_passes_, [&](std::size_t, std::int64_t at, Logits logits) {
    for (Reading& r : readings) r.note(held + static_cast<std::size_t>(at), logits);
  });
  std::vector<Stretch> branches;
  for (std::size_t i = 0; i < readings.size(); ++i) {
    if (i > 0 && readings[i].read().size() > shared) engine_.fork(sessions_[0], sessions_[i]);
    const auto wanted = std::max(readings[i].first - 1, shared) - shared;
    branches.push_back({&sessions_[i], readings[i].read().subspan(shared), static_cast<std::int64_t>(wanted)});
  }
  run(engine_, branches, between_passes_,
      [&](std::size_t i, std::int64_t at, Logits logits) { readings[i].note(shared + static_cast<std::size_t>(at), logits); });
  std::vector<ChoiceLikelihood> results;
  for (const Reading& r : readings) results.push_back(sum(r));
  return results;
}

std::vector<TokenComparison> compare(Engine& p, Engine& q, const ScoredSequence& sequence,
                                     const std::function<void()>& between_passes) {
  const auto n_vocab = static_cast<std::size_t>(p.config().n_vocab);
  const std::int64_t size = static_cast<std::int64_t>(sequence.ids.size()) - 1, wanted = sequence.first - 1;
  const std::int64_t step = std::min(p.max_batch(), q.max_batch());
  Session p_session = p.new_session(), q_session = q.new_session();
  std::vector<TokenComparison> found(static_cast<std::size_t>(std::max<std::int64_t>(size - wanted, 0)));
  for (std::int64_t begin = 0; begin < size; begin += step) {
    if (between_passes) between_passes();
    const std::int64_t end = std::min(size, begin + step);
    const auto ids = std::span(sequence.ids).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    p.forward(std::array{Engine::Piece{&p_session, ids}});
    q.forward(std::array{Engine::Piece{&q_session, ids}});
    for (std::int64_t at = std::max(begin, wanted); at < end; at += Engine::logit_rows) {
      const std::int64_t rows = std::min(Engine::logit_rows, end - at);
      const Logits p_logits = p.read_logits(at - begin, rows), q_logits = q.read_logits(at - begin, rows);
      p.each(rows, [&](std::int64_t r) {
        const std::size_t place = static_cast<std::size_t>(r) * n_vocab;
        const Prediction from(p_logits.subspan(place, n_vocab)), to(q_logits.subspan(place, n_vocab));
        const TokenId id = sequence.ids[static_cast<std::size_t>(at + r) + 1];
        const double divergence = kl_divergence(from.logits().data(), from.log_sum(), to.logits().data(), to.log_sum(),
                                                static_cast<std::int64_t>(n_vocab));
        found[static_cast<std::size_t>(at + r - wanted)] = {from.log_probability(id), to.log_probability(id), divergence,
                                                            from.top() == to.top()};
      });
    }
  }
  return found;
}

}  // namespace bitnet
