// Scheduler::Sequence: one request inside the scheduler, from its arrival to its end.
#pragma once

#include <algorithm>
#include <utility>

#include "inference/scheduler.h"
#include "inference/speculation.h"

namespace bitnet {

struct Scheduler::Sequence {
  // Throws Error{usage} or Error{too_big} for a request that breaks the engine's bounds.
  Sequence(const Engine& engine, SequenceRequest asked, SequenceEvents called)
      : request(std::move(asked)),
        events(std::move(called)),
        generation(engine.generation(request.generate, request.sequence)),
        room(engine.token_limit(request.generate)) {}

  bool before(const Sequence& other) const {
    return std::pair(-request.priority, ticket) < std::pair(-other.request.priority, other.ticket);
  }

  // Tokens of the history that are not computed: one while it decodes, more while its prompt is read.
  std::int64_t pending() const {
    return static_cast<std::int64_t>(generation.history().size()) - static_cast<std::int64_t>(session.ids.size());
  }

  Work work() const { return {pending(), room - static_cast<std::int64_t>(generation.drawn().size())}; }

  void find_known(PrefixCache& cache, bool wanted) {
    const std::span<const TokenId> ids = generation.history();
    known = wanted && !scores_prompt() ? cache.find(request.tenant, ids.first(ids.size() - 1)) : std::vector<KvPage>();
  }

  bool scores_prompt() const { return request.generate.prompt_scores && request.generate.scores >= 0; }

  // What to ask for behind `count` tokens of the history from `at` on: of the prompt's positions all logits, where it is scored
  // and they were not seen before; behind the last token what the next draw needs.
  std::vector<LogitQuery> queries(std::size_t at, std::size_t count) const {
    const std::size_t end = at + count;
    std::vector<LogitQuery> asked;
    if (scores_prompt() && prompt_scores.size() + 1 < request.generate.prompt.size()) asked.resize(count);
    if (end == generation.history().size()) {
      asked.resize(std::max<std::size_t>(asked.size(), 1));
      asked.back() = generation.query();
    }
    return asked;
  }

  GenerateResult result() const {
    GenerateResult out{generation.text(),       {}, generation.reason(), timings, generation.scores(), prompt_scores,
                       generation.stop_string()};
    out.ids.assign(generation.drawn().begin(), generation.drawn().end());
    out.timings.generated_tokens = static_cast<std::int64_t>(out.ids.size());
    out.timings.prompt_tokens =
        static_cast<std::int64_t>(generation.history().size() - out.ids.size()) - out.timings.cached_tokens;
    return out;
  }

  SequenceRequest request;
  SequenceEvents events;
  Generation generation;
  std::int64_t room;  // tokens it may draw
  std::uint64_t ticket = 0;
  bool cancelled = false, ended = false;
  Session session;                           // without a cache while it waits
  std::unique_ptr<Speculation> speculation;  // once it ran alone
  std::vector<KvPage> known;                 // found for it, while it is being admitted
  SchedulerClock::time_point arrived = SchedulerClock::now(), started, first_drawn;
  Timings timings;
  std::vector<TokenScore> prompt_scores;
};

}  // namespace bitnet
