// Who is let in, who waits, who ends: the life of a sequence around the batches of scheduler_batch.cc.
#include "inference/scheduler.h"

#include <unistd.h>

#include <algorithm>

#include "inference/scheduled_sequence.h"

namespace bitnet {
namespace {

void check_options(const SchedulerOptions& options, std::int64_t most_tokens) {
  const auto bound = [](const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value < low || value > high) fail(ErrorKind::usage, "{} is {}, allowed are {} to {}", name, value, low, high);
  };
  bound("the number of running sequences", options.most_running, 1, most_tokens);
  bound("the number of waiting sequences", options.most_waiting, 0, 1 << 20);
  bound("the prompt tokens of a step", options.prompt_chunk, 1, 8192);
}

// Pages that are kept for prompts to come: as many as the contexts of all that may run have, in a quarter of the machine's
// memory. Without it unlike prompts would fill memory, where keys and values have no limit of their own.
std::int64_t most_kept(const Engine& engine, std::int64_t running) {
  const std::int64_t bytes = static_cast<std::int64_t>(engine.kv_bytes_per_token()) * kv_chunk_positions;
  const std::int64_t machine = ::sysconf(_SC_PHYS_PAGES) / 4 * ::sysconf(_SC_PAGESIZE);
  return std::min(running * (engine.n_ctx() / kv_chunk_positions), machine / std::max<std::int64_t>(bytes, 1));
}

}  // namespace

Scheduler::Scheduler(Engine& engine, const SchedulerOptions& options) : engine_(engine), options_(options) {
  check_options(options, engine.max_batch());
  status_.pages_most = engine.kv_pages().most();
}

Scheduler::~Scheduler() = default;

std::optional<double> Scheduler::refuse() {
  const std::int64_t there = status_.running + status_.waiting + static_cast<std::int64_t>(inbox_.size());
  if (there < options_.most_running + options_.most_waiting && !stopping_) return std::nullopt;
  ++status_.refused;
  return seconds(work_) / static_cast<double>(std::max<std::int64_t>(there, 1));
}

std::optional<double> Scheduler::refusal() {
  const std::lock_guard lock(mutex_);
  return refuse();
}

Admission Scheduler::submit(SequenceRequest request, SequenceEvents events) {
  auto sequence = std::make_unique<Sequence>(engine_, std::move(request), std::move(events));
  const std::lock_guard lock(mutex_);
  if (const auto until = refuse()) return {0, *until};
  const std::int64_t ahead = status_.waiting + static_cast<std::int64_t>(inbox_.size());
  sequence->ticket = next_ticket_++;
  // With a free place only the prompts before it stand in its way.
  const bool waits = status_.running + ahead >= options_.most_running;
  const Work own = sequence->work();
  const double wait = seconds({work_.prompt + own.prompt, waits ? work_.decode : 0});
  work_.prompt += own.prompt, work_.decode += own.decode;
  const Admission admission{sequence->ticket, wait};
  inbox_.push_back(std::move(sequence));
  news_.notify_one();
  return admission;
}

void Scheduler::cancel(std::uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  cancels_.push_back(ticket);
  news_.notify_one();
}

bool Scheduler::call(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return false;
  calls_.push_back(std::move(work));
  news_.notify_one();
  return true;
}

void Scheduler::stop(bool drain) {
  const std::lock_guard lock(mutex_);
  stopping_ = true, draining_ = drain;
  news_.notify_one();
}

SchedulerStatus Scheduler::status() const {
  const std::lock_guard lock(mutex_);
  SchedulerStatus now = status_;
  now.waiting += static_cast<std::int64_t>(inbox_.size());
  now.stopping = stopping_;
  return now;
}

double Scheduler::seconds(const Work& work) const {
  const auto together = static_cast<double>(options_.most_running);
  return static_cast<double>(work.prompt) * rates_.seconds_a_prompt_token +
         static_cast<double>(work.decode) / together * rates_.seconds_a_decode;
}

bool Scheduler::step() {
  run_calls();
  take_news();
  if (end_what_must()) settle();
  const std::size_t before = running_.size();
  admit();
  if (running_.size() != before) publish_places();
  const std::vector<Part> parts = make_room(choose());
  if (may_draft(parts)) {
    run_alone(*parts.front().sequence);
  } else if (!parts.empty()) {
    run_batch(parts);
  }
  settle();
  return !running_.empty() || !waiting_.empty();
}

void Scheduler::run(Turns* turns) {
  while (true) {
    if (turns != nullptr) turns->lock();
    const bool more = step();
    if (turns != nullptr) turns->unlock();
    std::unique_lock lock(mutex_);
    if (stopping_ && !draining_) break;
    if (more || has_news()) continue;
    if (stopping_) return;
    news_.wait(lock, [&] { return stopping_ || has_news(); });
  }
  run_calls();  // what was promised
  take_news();
  for (Sequences* sequences : {&running_, &waiting_}) {
    for (const auto& sequence : *sequences) finish(*sequence, FinishReason::cancelled);
  }
  settle();
}

// The engine is used for something else, or the sequence leaves: what it computed ahead is lost.
void Scheduler::forget_ahead() {
  if (ahead_ != nullptr) ahead_->speculation->forget();
  ahead_ = nullptr;
}

// By priority, then arrival.
void Scheduler::insert(Sequences& sequences, std::unique_ptr<Sequence> sequence) {
  const auto place = std::upper_bound(sequences.begin(), sequences.end(), sequence,
                                      [](const auto& a, const auto& b) { return a->before(*b); });
  sequences.insert(place, std::move(sequence));
}

bool Scheduler::has_news() const { return !inbox_.empty() || !cancels_.empty() || !calls_.empty(); }

void Scheduler::run_calls() {
  std::vector<std::function<void()>> calls;
  {
    const std::lock_guard lock(mutex_);
    calls.swap(calls_);
  }
  if (!calls.empty()) forget_ahead();
  for (const auto& call : calls) call();
}

void Scheduler::take_news() {
  Sequences arrived;
  std::vector<std::uint64_t> cancels;
  {
    const std::lock_guard lock(mutex_);
    arrived.swap(inbox_), cancels.swap(cancels_);
    status_.waiting += static_cast<std::int64_t>(arrived.size());
  }
  for (auto& sequence : arrived) insert(waiting_, std::move(sequence));
  std::sort(cancels.begin(), cancels.end());
  for (const Sequences* sequences : {&running_, &waiting_}) {
    for (const auto& sequence : *sequences)
      sequence->cancelled |= std::binary_search(cancels.begin(), cancels.end(), sequence->ticket);
  }
}

bool Scheduler::end_what_must() {
  const auto now = SchedulerClock::now();
  const std::uint64_t before = counts_.finished;
  for (const Sequences* sequences : {&running_, &waiting_}) {
    for (const auto& sequence : *sequences) {
      const std::atomic<bool>* flag = sequence->request.generate.cancel;
      const auto& deadline = sequence->request.deadline;
      if (sequence->cancelled || (flag != nullptr && *flag)) {
        finish(*sequence, FinishReason::cancelled);
      } else if (deadline && now >= *deadline) {
        finish(*sequence, FinishReason::deadline);
      } else if (sequence->generation.finished()) {
        finish(*sequence, sequence->generation.reason());  // one that asked for no token
      }
    }
  }
  return counts_.finished > before;
}

// In order: whoever has to wait for memory lets nobody pass, or a long prompt would wait for ever. Those who wait for another
// to read the same prompt do.
void Scheduler::admit() {
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    if (static_cast<std::int64_t>(running_.size()) >= options_.most_running) return;
    Sequence& sequence = **next;
    sequence.find_known(known_, options_.prefix_cache);
    if (options_.prefix_cache && is_being_read(sequence, sequence.known.size())) {
      sequence.known.clear();
      ++next;
      continue;
    }
    if (!start(sequence)) return;
    std::unique_ptr<Sequence> started = std::move(*next);
    next = waiting_.erase(next);
    insert(running_, std::move(started));
  }
}

// Whether a running sequence is about to fill pages that this one will want, beyond the `known` ones that are there.
bool Scheduler::is_being_read(const Sequence& sequence, std::size_t known) const {
  const std::span<const TokenId> ids = sequence.generation.history();
  return std::any_of(running_.begin(), running_.end(), [&](const auto& other) {
    if (other->request.tenant != sequence.request.tenant || other->pending() <= 1) return false;
    const std::span<const TokenId> theirs = other->generation.history();
    const auto same =
        static_cast<std::size_t>(std::mismatch(ids.begin(), ids.end() - 1, theirs.begin(), theirs.end()).first - ids.begin());
    return same / static_cast<std::size_t>(kv_chunk_positions) > known;
  });
}

// Takes what is known of its prompt. False when the rest finds no memory while others run: they will leave some.
bool Scheduler::start(Sequence& sequence) {
  Session session = engine_.new_session();
  const auto known = static_cast<std::int64_t>(sequence.known.size()) * kv_chunk_positions;
  session.cache->share(sequence.known, known);
  sequence.known.clear();
  const std::span<const TokenId> ids = sequence.generation.history();
  session.ids.assign(ids.begin(), ids.begin() + known);
  const std::int64_t missing = session.cache->pages_missing(static_cast<std::int64_t>(ids.size()));
  while (missing > engine_.kv_pages().free() && known_.evict()) {
  }
  if (missing > engine_.kv_pages().free() && !running_.empty()) return false;
  if (sequence.generation.drawn().empty()) sequence.timings.cached_tokens = known;
  sequence.session = std::move(session);
  sequence.started = SchedulerClock::now();
  return true;
}

void Scheduler::finish(Sequence& sequence, FinishReason reason, const Error* error) {
  sequence.generation.finish(reason, sequence.events.on_text);
  sequence.ended = true;
  if (ahead_ == &sequence) forget_ahead();
  if (error == nullptr) remember(sequence);
  sequence.session = {};
  const GenerateResult result = sequence.result();
  ++counts_.finished;
  counts_.cancelled += result.finish_reason == FinishReason::cancelled;
  counts_.failed += error != nullptr;
  counts_.cached_tokens += static_cast<std::uint64_t>(result.timings.cached_tokens);
  publish_places();
  if (sequence.events.on_finish) sequence.events.on_finish(result, error);
}

// The whole pages of what was computed so far.
void Scheduler::remember(const Sequence& sequence) {
  if (!options_.prefix_cache || sequence.session.cache == nullptr) return;
  known_.insert(sequence.request.tenant, sequence.session.ids, sequence.session.cache->pages());
  const std::int64_t most = most_kept(engine_, options_.most_running);
  while (known_.pages() > most && known_.evict()) {
  }
}

// Before a client hears of it: who sees a sequence's first token sees it among the running ones, who sees its end does not.
void Scheduler::publish_places() {
  const auto left = [](const Sequences& sequences) {
    return std::count_if(sequences.begin(), sequences.end(), [](const auto& sequence) { return !sequence->ended; });
  };
  const std::lock_guard lock(mutex_);
  status_.running = left(running_), status_.waiting = left(waiting_);
}

void Scheduler::settle() {
  const auto ended = [](const auto& sequence) { return sequence->ended; };
  std::erase_if(waiting_, ended), std::erase_if(running_, ended);
  const auto gave_way = std::stable_partition(running_.begin(), running_.end(),
                                              [](const auto& sequence) { return sequence->session.cache != nullptr; });
  Sequences back(std::make_move_iterator(gave_way), std::make_move_iterator(running_.end()));
  running_.erase(gave_way, running_.end());
  for (auto& sequence : back) insert(waiting_, std::move(sequence));

  counts_.running = static_cast<std::int64_t>(running_.size()), counts_.waiting = static_cast<std::int64_t>(waiting_.size());
  counts_.pages_used = engine_.kv_pages().used(), counts_.pages_known = known_.pages();
  counts_.pages_most = engine_.kv_pages().most();
  Work work;
  for (const Sequences* sequences : {&running_, &waiting_}) {
    for (const auto& sequence : *sequences) work.prompt += sequence->work().prompt, work.decode += sequence->work().decode;
  }
  const std::lock_guard lock(mutex_);
  for (const auto& sequence : inbox_) work.prompt += sequence->work().prompt, work.decode += sequence->work().decode;
  counts_.refused = status_.refused;
  status_ = counts_;
  work_ = work;
}

}  // namespace bitnet
