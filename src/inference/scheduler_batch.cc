// One step of the scheduler: which tokens make the batch, whose pages give way, and what becomes of the logits.
#include <algorithm>

#include "common/stopwatch.h"
#include "inference/scheduled_sequence.h"
#include "inference/scheduler.h"

namespace bitnet {
namespace {

constexpr std::int64_t smallest_share = 16;  // prompt tokens, below which a part costs more than it brings

double seconds_between(SchedulerClock::time_point start, SchedulerClock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

}  // namespace

void Scheduler::Rates::add(double seconds, std::int64_t prompt_tokens, std::int64_t decode_tokens) {
  const auto mix = [](double& mean, double value) { mean = mean == 0 ? value : mean + 0.1 * (value - mean); };
  if (prompt_tokens == 0) {
    mix(seconds_a_decode, seconds);
  } else if (prompt_tokens >= smallest_share || seconds_a_prompt_token == 0) {
    const double decode = decode_tokens > 0 ? std::min(seconds_a_decode, seconds / 2) : 0;
    mix(seconds_a_prompt_token, (seconds - decode) / static_cast<double>(prompt_tokens));
  }
}

// One token of each that decodes. Of what prompts may take, half is for the one that came first, so that it is read whoever
// else comes, and the rest for those that have least to read: of equally long ones each has its first token before the next is
// begun, rather than all of them late.
std::vector<Scheduler::Part> Scheduler::choose() const {
  std::vector<Part> parts;
  std::vector<std::size_t> readers;  // places among the parts
  for (const auto& sequence : running_) {
    const bool reads = sequence->pending() > 1;
    if (reads) readers.push_back(parts.size());
    parts.push_back({sequence.get(), reads ? 0 : 1});
  }
  const std::size_t decoding = parts.size() - readers.size();
  std::int64_t left = std::max<std::int64_t>(0, engine_.max_batch() - static_cast<std::int64_t>(decoding));
  if (decoding > 0) left = std::min(left, options_.prompt_chunk);
  const auto rest = [](const Part& part) { return part.sequence->pending() - part.tokens; };
  const auto give = [&](Part& part, std::int64_t most) {
    const std::int64_t tokens = std::min({rest(part), most, left});
    part.tokens += tokens, left -= tokens;
  };
  if (!readers.empty()) give(parts[readers.front()], std::max(smallest_share, left / 2));
  std::stable_sort(readers.begin(), readers.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(-parts[a].sequence->request.priority, rest(parts[a])) <
           std::pair(-parts[b].sequence->request.priority, rest(parts[b]));
  });
  for (const std::size_t reader : readers) {
    Part& part = parts[reader];
    if (part.tokens > 0 || left >= std::min(smallest_share, rest(part))) give(part, left);
  }
  std::erase_if(parts, [](const Part& part) { return part.tokens == 0; });
  return parts;
}

// Memory for all parts, in the order in which sequences are to be kept: whoever gives way stands behind those that were served.
std::vector<Scheduler::Part> Scheduler::make_room(std::vector<Part> parts) {
  std::vector<Part> kept;
  for (const Part& part : parts) {
    Sequence& sequence = *part.sequence;
    if (sequence.session.cache == nullptr) continue;  // gave way to one before it
    if (make_room(sequence, part.tokens)) {
      kept.push_back(part);
    } else if (running_.front().get() == &sequence) {
      const Error error(ErrorKind::too_big, "there is no memory left for keys and values");
      finish(sequence, FinishReason::length, &error);
    } else {
      preempt(sequence);
    }
  }
  return kept;
}

bool Scheduler::make_room(Sequence& sequence, std::int64_t tokens) {
  const std::int64_t wanted = sequence.session.cache->length() + tokens;
  const KvPages& pages = engine_.kv_pages();
  auto victim = running_.rbegin();
  while (sequence.session.cache->pages_missing(wanted) > pages.free()) {
    if (known_.evict()) continue;
    while (victim != running_.rend() && ((*victim)->session.cache == nullptr || (*victim)->ended)) ++victim;
    if (victim == running_.rend() || victim->get() == &sequence) return false;
    preempt(**victim);
  }
  sequence.session.cache->reserve(wanted);
  return true;
}

// What it computed may still be there when its turn comes again; if not, it is computed again, to the same bits.
void Scheduler::preempt(Sequence& sequence) {
  if (ahead_ == &sequence) forget_ahead();
  remember(sequence);
  sequence.session = {};
  ++counts_.preempted;
}

// The logits behind a token: the score of the prompt's next one, or the next draw.
void Scheduler::take(Sequence& sequence, std::size_t position, const LogitSet& logits) {
  const GenerateRequest& request = sequence.request.generate;
  if (position + 1 < request.prompt.size()) {
    if (position == sequence.prompt_scores.size())
      sequence.prompt_scores.push_back(score_token(logits, request.prompt[position + 1], request.scores));
    return;
  }
  if (position + 1 < sequence.generation.history().size()) return;
  const auto now = SchedulerClock::now();
  if (sequence.generation.drawn().empty()) {
    sequence.first_drawn = now;
    sequence.timings.prompt_seconds = seconds_between(sequence.started, now);
    sequence.timings.first_token_seconds = seconds_between(sequence.arrived, now);
  }
  sequence.timings.generate_seconds = seconds_between(sequence.first_drawn, now);
  sequence.generation.put(logits, sequence.events.on_text);
  ++counts_.generated_tokens;
}

bool Scheduler::may_draft(const std::vector<Part>& parts) const {
  return running_.size() == 1 && parts.size() == 1 && parts.front().sequence->pending() == 1 &&
         parts.front().sequence->request.generate.drafts != 0;
}

void Scheduler::run_alone(Sequence& sequence) {
  const GenerateRequest& request = sequence.request.generate;
  if (!sequence.speculation) sequence.speculation = engine_.speculate(sequence.session, request);
  ahead_ = &sequence;
  const Stopwatch since_start;
  std::unique_ptr<Error> error;
  try {
    const LogitSet logits = sequence.speculation->advance(
        sequence.generation, sequence.room - static_cast<std::int64_t>(sequence.generation.drawn().size()));
    take(sequence, sequence.session.ids.size() - 1, logits);
  } catch (const Error& failed) {
    error = std::make_unique<Error>(failed);
  }
  sequence.timings.drafted_tokens = sequence.speculation->drafted();
  sequence.timings.accepted_tokens = sequence.speculation->accepted();
  {
    const std::lock_guard lock(mutex_);
    rates_.add(since_start.seconds(), 0, 1);
  }
  end_or_remember(sequence, error.get(), false);
}

void Scheduler::run_batch(const std::vector<Part>& parts) {
  forget_ahead();
  std::vector<Engine::Step> steps;
  std::vector<std::vector<LogitQuery>> queries;
  std::int64_t prompt_tokens = 0, decode_tokens = 0;
  for (const Part& part : parts) {
    Sequence& sequence = *part.sequence;
    const auto at = sequence.session.ids.size(), count = static_cast<std::size_t>(part.tokens);
    (sequence.pending() > 1 ? prompt_tokens : decode_tokens) += part.tokens;
    queries.push_back(sequence.queries(at, count));
    steps.push_back({&sequence.session, sequence.generation.history().subspan(at, count), {}});
  }
  for (std::size_t i = 0; i < steps.size(); ++i) steps[i].queries = queries[i];
  const Stopwatch since_start;
  std::vector<std::unique_ptr<Error>> errors(parts.size());
  try {
    engine_.step(steps, [&](std::size_t i, std::size_t query, const LogitSet& logits) {
      Sequence& sequence = *parts[i].sequence;
      const std::size_t position = sequence.session.ids.size() - queries[i].size() + query;
      try {
        if (!errors[i]) take(sequence, position, logits);
      } catch (const Error& error) {
        errors[i] = std::make_unique<Error>(error);
      }
    });
  } catch (const Error& error) {  // the model's file was changed: none of the batch has what it asked for
    for (auto& failed : errors) failed = std::make_unique<Error>(error);
  }
  {
    const std::lock_guard lock(mutex_);
    rates_.add(since_start.seconds(), prompt_tokens, decode_tokens);
  }
  counts_.prompt_tokens += static_cast<std::uint64_t>(prompt_tokens);
  for (std::size_t i = 0; i < parts.size(); ++i) end_or_remember(*parts[i].sequence, errors[i].get(), parts[i].tokens > 1);
}

void Scheduler::end_or_remember(Sequence& sequence, const Error* error, bool prompt_is_read) {
  if (error != nullptr) {
    finish(sequence, FinishReason::stop, error);
  } else if (sequence.generation.finished()) {
    finish(sequence, sequence.generation.reason());
  } else if (prompt_is_read && sequence.pending() == 1) {
    remember(sequence);  // others may want it
  }
}

}  // namespace bitnet
