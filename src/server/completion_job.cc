// From a request to sequences, and from their results to answers.
#include "server/completion_job.h"

#include <algorithm>
#include <numeric>

namespace bitnet::server {
namespace {

[[noreturn]] void refuse(const Scheduler& scheduler, double seconds) {
  if (scheduler.status().stopping) throw ApiError(503, "unavailable_error", "the server is shutting down");
  ApiError full(429, "rate_limit_error", "the queue is full", "queue_full");
  full.retry_after = std::clamp(seconds, 1.0, 120.0);
  throw full;
}

}  // namespace

std::shared_ptr<CompletionJob> CompletionJob::make(CompletionRequest request, std::function<void()> wake) {
  return std::shared_ptr<CompletionJob>(new CompletionJob(std::move(request), std::move(wake)));
}

CompletionJob::CompletionJob(CompletionRequest request, std::function<void()> wake)
    : request_(std::move(request)),
      wake_(std::move(wake)),
      results_(request_.prompts.size() * static_cast<std::size_t>(std::max(request_.n, request_.best_of))),
      left_(results_.size()) {}

SequenceRequest CompletionJob::sequence(std::size_t index, std::optional<SchedulerClock::time_point> deadline) const {
  const auto each = static_cast<std::size_t>(std::max(request_.n, request_.best_of));
  SequenceRequest sequence;
  sequence.generate = request_.generate;
  sequence.generate.prompt = request_.prompts[index / each];
  // Choosing the best needs to know how probable each is.
  if (request_.best_of > request_.n && sequence.generate.scores < 0) sequence.generate.scores = 0;
  sequence.sequence = index % each;
  sequence.priority = static_cast<int>(request_.priority);
  sequence.deadline = deadline;
  sequence.tenant = request_.cache_key;
  return sequence;
}

SequenceEvents CompletionJob::events(std::size_t index) {
  SequenceEvents events;
  const auto number = static_cast<std::int64_t>(index);
  if (request_.stream) {
    events.on_text = [job = shared_from_this(), number](const TextPiece& piece) {
      CompletionEvent event{number, std::string(piece.text)};
      if (piece.score != nullptr) event.scores.push_back(*piece.score);
      if (!event.text.empty() || !event.scores.empty()) job->push(std::move(event));
    };
  }
  events.on_finish = [job = shared_from_this(), index, number](const GenerateResult& result, const Error* error) {
    {
      const std::lock_guard lock(job->mutex_);
      job->results_[index] = result;
      if (error != nullptr && !job->error_) job->error_ = error->what();
      --job->left_;
    }
    job->ended_.notify_all();
    CompletionEvent event{number};
    event.ended = true;
    job->push(std::move(event));
  };
  return events;
}

void CompletionJob::push(CompletionEvent event) {
  {
    const std::lock_guard lock(mutex_);
    if (!abandoned_) events_.push_back(std::move(event));
  }
  if (wake_) wake_();
}

void require_room(Scheduler& scheduler) {
  if (const auto seconds = scheduler.refusal()) refuse(scheduler, *seconds);
}

void CompletionJob::start(ModelUse model, std::optional<SchedulerClock::time_point> deadline) {
  model_ = std::move(model);
  Scheduler& scheduler = model_->scheduler();
  for (std::size_t i = 0; i < results_.size(); ++i) {
    Admission admission;
    try {
      admission = scheduler.submit(sequence(i, deadline), events(i));
    } catch (const Error& error) {
      cancel();
      throw api_error(error);
    }
    if (admission.ticket != 0) {
      const std::lock_guard lock(mutex_);
      tickets_.push_back(admission.ticket);
      continue;
    }
    cancel();
    refuse(scheduler, admission.seconds);
  }
}

std::optional<CompletionEvent> CompletionJob::take() {
  const std::lock_guard lock(mutex_);
  if (events_.empty()) return std::nullopt;
  CompletionEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

bool CompletionJob::done() const {
  const std::lock_guard lock(mutex_);
  return left_ == 0 && events_.empty();
}

void CompletionJob::wait() const {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [&] { return left_ == 0; });
}

void CompletionJob::cancel() {
  std::vector<std::uint64_t> tickets;
  {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    tickets = tickets_;
  }
  for (const std::uint64_t ticket : tickets) model_->scheduler().cancel(ticket);
}

std::vector<Answer> CompletionJob::answers() const {
  const std::lock_guard lock(mutex_);
  if (error_) throw ApiError(500, "server_error", *error_, "model_output_invalid");
  const auto n = static_cast<std::size_t>(request_.n), each = results_.size() / request_.prompts.size();
  std::vector<Answer> answers;
  for (std::size_t p = 0; p < request_.prompts.size(); ++p) {
    std::vector<std::size_t> order(each);
    std::iota(order.begin(), order.end(), p * each);
    // By log-probability a token, so that short answers are not favoured.
    const auto mean = [&](std::size_t i) {
      const auto& scores = results_[i]->scores;
      double sum = 0;
      for (const TokenScore& score : scores) sum += score.log_probability;
      return scores.empty() ? 0.0 : sum / static_cast<double>(scores.size());
    };
    if (each > n) std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return mean(a) > mean(b); });
    for (std::size_t i = 0; i < n; ++i) {
      const bool echo = request_.echo;
      answers.push_back({static_cast<std::int64_t>(p * n + i), &*results_[order[i]], echo ? &request_.prompt_texts[p] : nullptr,
                         echo ? &request_.prompts[p] : nullptr});
    }
  }
  return answers;
}

const GenerateResult& CompletionJob::result(std::int64_t index) const {
  const std::lock_guard lock(mutex_);
  return *results_[static_cast<std::size_t>(index)];
}

Usage CompletionJob::usage() const {
  const std::lock_guard lock(mutex_);
  Usage usage;
  for (const auto& prompt : request_.prompts) usage.prompt_tokens += static_cast<std::int64_t>(prompt.size());
  for (const auto& result : results_) {
    if (!result) continue;
    usage.completion_tokens += static_cast<std::int64_t>(result->ids.size());
    usage.cached_tokens += result->timings.cached_tokens;
  }
  usage.cached_tokens = std::min(usage.cached_tokens, usage.prompt_tokens);
  return usage;
}

std::vector<Timings> CompletionJob::timings() const {
  const std::lock_guard lock(mutex_);
  std::vector<Timings> timings;
  for (const auto& result : results_) {
    if (result) timings.push_back(result->timings);
  }
  return timings;
}

std::vector<FinishReason> CompletionJob::finishes() const {
  const std::lock_guard lock(mutex_);
  std::vector<FinishReason> reasons;
  for (const auto& result : results_) {
    if (!result) {
      reasons.push_back(FinishReason::cancelled);
    } else if (!error_) {
      reasons.push_back(result->finish_reason);
    }
  }
  return reasons;
}

}  // namespace bitnet::server
