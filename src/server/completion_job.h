// CompletionJob: the sequences of one request on the scheduler, and a queue of what comes of them.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "inference/model_set.h"
#include "server/completion_request.h"

namespace bitnet::server {

// One of the answers, by its place among all of the request.
struct Answer {
  std::int64_t index;
  const GenerateResult* result;
  const std::string* prompt_text;          // of echo, else null
  const std::vector<TokenId>* prompt_ids;  // of echo
};

struct Usage {
  std::int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
};

// Something that happened to one of a job's answers.
struct CompletionEvent {
  std::int64_t index;                   // of the answer: prompt * n + choice
  std::string text = {};                // of a piece
  std::vector<TokenScore> scores = {};  // of a piece
  bool ended = false;                   // then it is the answer's last event
};

// Throws what CompletionJob::start() would throw for a full queue: for before a prompt is encoded, so that requests that cannot
// be taken cost next to nothing.
void require_room(Scheduler& scheduler);

// Made by whoever answers a request; events come from the scheduler's thread. All members are safe from any thread. Ends when
// all sequences have ended; until then the scheduler holds on to it.
class CompletionJob : public std::enable_shared_from_this<CompletionJob> {
 public:
  // `wake` is called, on the scheduler's thread, whenever there is something new to take.
  static std::shared_ptr<CompletionJob> make(CompletionRequest request, std::function<void()> wake);

  // Submits all sequences, and keeps the model open until the job is gone. Throws ApiError: 429 with the time to wait when the
  // queue has no room for all of them, 503 when the scheduler is stopping; then none runs.
  void start(ModelUse model, std::optional<SchedulerClock::time_point> deadline);

  std::optional<CompletionEvent> take();  // the oldest event that was not taken
  bool done() const;                      // all answers have ended and their events are taken
  void wait() const;                      // for all answers to end
  void cancel();                          // what still runs

  const CompletionRequest& request() const { return request_; }
  const ServedModel& model() const { return *model_; }  // once started
  // Once all ended. Throws ApiError{500} when one of them failed.
  std::vector<Answer> answers() const;
  Usage usage() const;
  std::vector<Timings> timings() const;  // of the sequences that ended
  // Why each sequence ended; one that has not yet, because its client left, as cancelled. None that ended where one failed.
  std::vector<FinishReason> finishes() const;
  // Of the answer at this place, once it has ended; of the first sequence where several compete.
  const GenerateResult& result(std::int64_t index) const;

 private:
  CompletionJob(CompletionRequest request, std::function<void()> wake);
  SequenceRequest sequence(std::size_t index, std::optional<SchedulerClock::time_point> deadline) const;
  SequenceEvents events(std::size_t index);
  void push(CompletionEvent event);

  CompletionRequest request_;
  std::function<void()> wake_;
  ModelUse model_;
  std::vector<std::uint64_t> tickets_;

  mutable std::mutex mutex_;
  mutable std::condition_variable ended_;
  std::deque<CompletionEvent> events_;
  std::vector<std::optional<GenerateResult>> results_;
  std::optional<std::string> error_;
  std::size_t left_;
  bool abandoned_ = false;
};

}  // namespace bitnet::server
