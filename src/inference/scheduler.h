// Scheduler: many sequences at once on one engine, each with the result it would have alone.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/error.h"
#include "inference/engine.h"
#include "inference/generation.h"
#include "inference/prefix_cache.h"
#include "inference/turns.h"

namespace bitnet {

struct SchedulerOptions {
  std::int64_t most_running = 16;   // sequences in a batch at most
  std::int64_t most_waiting = 64;   // sequences in the queue at most; more are not admitted
  std::int64_t prompt_chunk = 128;  // prompt tokens of one step while other sequences decode in it, all prompts together
  bool prefix_cache = true;         // keep the pages of finished sequences for prompts that begin like them
};

using SchedulerClock = std::chrono::steady_clock;

// A request beside what Engine::generate takes; its `cancel` flag is looked at before every step.
struct SequenceRequest {
  GenerateRequest generate;
  std::uint64_t sequence = 0;                               // tells the draws of several answers to one prompt apart
  int priority = 0;                                         // higher ones are admitted first and give way last
  std::optional<SchedulerClock::time_point> deadline = {};  // then it ends with FinishReason::deadline
  std::string tenant = {};                                  // shares pages with requests of the same tenant only
};

// Called on the thread that runs the steps, never at the same time; must not block, throw, or call into the scheduler but for
// submit() and cancel().
struct SequenceEvents {
  PieceSink on_text;
  // Once, last. With an error (model_output_invalid, memory) the result holds what there was before it.
  std::function<void(const GenerateResult& result, const Error* error)> on_finish;
};

struct Admission {
  std::uint64_t ticket = 0;  // 0: the queue is full
  double seconds = 0;        // expected until its first token, or, where it was not admitted, until the queue has room
};

struct SchedulerStatus {
  std::int64_t running = 0, waiting = 0;
  std::int64_t pages_used = 0, pages_known = 0, pages_most = 0;  // known: kept by the prefix cache
  std::uint64_t finished = 0, cancelled = 0, refused = 0, preempted = 0, failed = 0;
  bool stopping = false;  // nothing more is admitted
  std::uint64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
};

// Continuous batching: every step runs one batch that holds one token of each sequence that decodes and parts of the prompts
// that are being read. A sequence that the KV memory has no room for gives its pages up and is computed again later, with the
// same bits; the oldest of the highest priority never does, so all of them end. The only sequence there is may compute drafts
// ahead (speculation.h); where several run, their batch uses what drafts would use. submit(), cancel(), status() and stop() are
// safe from any thread; step() and run() are for one thread, which is then the only one that may use the engine.
class Scheduler {
 public:
  // Keeps a reference to the engine. Throws Error{usage} for options that make no sense.
  Scheduler(Engine& engine, const SchedulerOptions& options = {});
  ~Scheduler();

  // Throws Error{usage} and Error{too_big} as Engine::generate does for a bad request, on the caller's thread.
  Admission submit(SequenceRequest request, SequenceEvents events);
  // Where submit() would admit nothing now: the seconds until it would, and one more counted as refused. For callers that have
  // work to do before they know what they would submit.
  std::optional<double> refusal();
  // The sequence ends with FinishReason::cancelled before the next step; nothing when it has ended already.
  void cancel(std::uint64_t ticket);
  // Runs `work`, which must not throw, on the stepping thread between two steps: for other uses of the engine. Sequences wait
  // meanwhile. False, without running it, once stopped.
  bool call(std::function<void()> work);

  // Runs one batch; false when there is nothing to do.
  bool step();
  // Steps while there is work and waits for it otherwise, until stop(). What is unfinished then ends as cancelled, or, with
  // `drain`, is finished first; nothing more is admitted. With `turns` every step waits for its turn: the cores are shared.
  void run(Turns* turns = nullptr);
  void stop(bool drain);

  SchedulerStatus status() const;
  const SchedulerOptions& options() const { return options_; }

 private:
  struct Sequence;
  using Sequences = std::vector<std::unique_ptr<Sequence>>;  // by priority, then arrival
  // A sequence and how many of its tokens a batch takes.
  struct Part {
    Sequence* sequence;
    std::int64_t tokens;
  };
  // Tokens that are still to be computed.
  struct Work {
    std::int64_t prompt = 0, decode = 0;
  };
  // What a step costs, measured, each a running mean that forgets: 0 = not known yet.
  struct Rates {
    double seconds_a_prompt_token = 0, seconds_a_decode = 0;
    void add(double seconds, std::int64_t prompt_tokens, std::int64_t decode_tokens);
  };

  void take_news();
  void run_calls();
  void forget_ahead();
  bool has_news() const;
  bool end_what_must();
  void admit();
  bool start(Sequence& sequence);
  bool is_being_read(const Sequence& sequence, std::size_t known) const;
  std::vector<Part> choose() const;
  std::vector<Part> make_room(std::vector<Part> parts);
  bool make_room(Sequence& sequence, std::int64_t tokens);
  void preempt(Sequence& sequence);
  bool may_draft(const std::vector<Part>& parts) const;
  void run_alone(Sequence& sequence);
  void run_batch(const std::vector<Part>& parts);
  void end_or_remember(Sequence& sequence, const Error* error, bool prompt_is_read);
  void take(Sequence& sequence, std::size_t position, const LogitSet& logits);
  void remember(const Sequence& sequence);
  void finish(Sequence& sequence, FinishReason reason, const Error* error = nullptr);
  void publish_places();
  std::optional<double> refuse();  // with the lock held
  void settle();                   // moves what ended out and what gave way to the queue; publishes the status
  double seconds(const Work& work) const;
  static void insert(Sequences& sequences, std::unique_ptr<Sequence> sequence);

  Engine& engine_;
  const SchedulerOptions options_;
  PrefixCache known_;
  Sequences running_, waiting_;
  Sequence* ahead_ = nullptr;  // that computed drafts in the last step
  SchedulerStatus counts_;     // of the stepping thread

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable news_;
  Sequences inbox_;
  std::vector<std::uint64_t> cancels_;
  std::vector<std::function<void()>> calls_;
  std::uint64_t next_ticket_ = 1;
  bool stopping_ = false, draining_ = false;
  SchedulerStatus status_;
  Work work_;  // of all that were admitted
  Rates rates_;
};

}  // namespace bitnet
