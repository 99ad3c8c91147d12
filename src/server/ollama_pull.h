// ModelPull: a download into the cache that a client asked for, on a thread of its own.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "models/hub/pull.h"
#include "server/api_error.h"
#include "server/bell.h"

namespace bitnet::server {

// Begins when it is made; when it is destroyed it is cancelled, which takes up to two seconds, and what was fetched is kept.
// All members are safe from any thread.
class ModelPull {
 public:
  // Rings the bell whenever there is news.
  ModelPull(hub::ModelName name, std::shared_ptr<Bell> bell);
  ~ModelPull();
  ModelPull(const ModelPull&) = delete;
  ModelPull& operator=(const ModelPull&) = delete;

  void cancel() { cancelled_ = true; }
  bool done() const { return done_; }
  hub::PullProgress progress() const;
  std::optional<ApiError> error() const;  // once done

 private:
  void run(const hub::ModelName& name);

  std::shared_ptr<Bell> bell_;
  std::atomic<bool> cancelled_{false}, done_{false};
  mutable std::mutex mutex_;
  hub::PullProgress progress_;
  std::optional<ApiError> error_;
  std::thread thread_;
};

}  // namespace bitnet::server
