// ModelSet: several models in one process by name: which are open, who uses them, and which one makes room for another.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/error.h"
#include "inference/engine.h"
#include "inference/scheduler.h"
#include "inference/turns.h"

namespace bitnet {

// An open model: an engine, the scheduler that all its requests go through, and the thread that steps it.
class ServedModel {
 public:
  // Begins to step. `turns` outlives it. Throws Error{usage} for options that make no sense; of the running sequences there are
  // never more than the engine's batch holds.
  ServedModel(std::string name, std::unique_ptr<Engine> engine, const SchedulerOptions& options, Turns& turns);
  ~ServedModel();  // what runs ends as cancelled; not on the stepping thread
  ServedModel(const ServedModel&) = delete;
  ServedModel& operator=(const ServedModel&) = delete;

  const std::string& name() const { return name_; }
  // But for what is const, for Scheduler::call alone.
  Engine& engine() const { return *engine_; }
  Scheduler& scheduler() { return scheduler_; }
  bool stopped() const { return stopped_; }  // after Scheduler::stop: nothing runs any more

 private:
  std::string name_;
  std::unique_ptr<Engine> engine_;
  Scheduler scheduler_;
  std::atomic<bool> stopped_{false};
  std::thread stepping_;
};

// Whoever holds one keeps the model open. May be let go anywhere, on the stepping thread too.
using ModelUse = std::shared_ptr<ServedModel>;

// How a model is opened.
struct ModelSource {
  std::string path;
  EngineOptions engine = {};
  SchedulerOptions scheduler = {};
};

struct ModelSetOptions {
  std::int64_t most_open = 0;         // models at once; 0 = no limit
  std::uint64_t most_bytes = 0;       // of all open models' weights and EngineOptions::kv_bytes together; 0 = no limit
  std::chrono::seconds idle_time{0};  // without a user, after which a model is closed; 0 = never
  std::string folder = {};            // whose models (model_folder.h) may be asked for beside those added; empty = none
  ModelSource in_folder = {};         // how these are opened; its path is not used
  // How far the loading of a model has come; called on the thread that opens models, may throw Error to end it.
  std::function<void(const std::string& name, std::uint64_t done, std::uint64_t total)> on_load = {};
};

enum class ModelState { closed, opening, open, closing };
const char* text(ModelState state);  // "closed", "opening", "open", "closing"

struct ModelStatus {
  std::string name;
  ModelState state = ModelState::closed;
  std::int64_t users = 0;   // of an open one
  std::uint64_t bytes = 0;  // counted against most_bytes while it is open
  SchedulerStatus scheduler = {};
};

// Why a model is not there.
struct ModelFailure {
  Error error;
  bool no_room = false;  // for the limits; then the error tells figures and names, and no path
};

// Models open and close on a thread of the set's own, one at a time, while the others go on computing. One that finds no room
// closes those that nobody uses, the longest unused first; where all are in use, one on which nothing runs gets a second to be
// let go: a client may ask for the next model before its last request's use has ended. Open models take turns on the cores, a
// step each (a batch, or a call between batches), so that each has all threads while it computes; what a model answers does not
// depend on the others. All members are safe from any thread.
class ModelSet {
 public:
  explicit ModelSet(ModelSetOptions options = {});
  ~ModelSet();  // stops, and waits until every ModelUse was let go
  ModelSet(const ModelSet&) = delete;
  ModelSet& operator=(const ModelSet&) = delete;

  // A model that may be opened. Throws Error{usage} for a name that is taken, empty or over 256 bytes.
  void add(const std::string& name, ModelSource source);

  // Under which name a request for `asked` is served: that name where there is such a model; the first added one for an empty
  // name, and for any where it is the only one and there is no folder. nullopt: there is no such model.
  std::optional<std::string> name_for(const std::string& asked) const;

  ModelUse find(const std::string& name);  // null unless it is open

  // Opens it if it is not open, then calls `then`, with the model or with what kept it from opening: Error{not_found} for an
  // unknown name, Error{cancelled} once stopped, no room, or what Engine::open threw. On the caller's thread where that is
  // known at once, else on the set's, where it must not block.
  using Opened = std::function<void(ModelUse model, const ModelFailure* failure)>;
  void open(const std::string& name, Opened then);
  ModelUse open(const std::string& name);  // waits; throws the error

  // No new user gets it, and it is closed as soon as the last one has let go; asked for again, it is opened again. False when
  // it is not open.
  bool close(const std::string& name);

  std::vector<ModelStatus> list() const;  // those added in order, then those of the folder by name

  // Nothing is opened any more, and what runs ends, as Scheduler::stop does it for every open model.
  void stop(bool drain);
  bool stopped() const;  // after stop(): nothing runs

 private:
  struct Entry {
    std::string name;
    ModelSource source;
    ModelState state = ModelState::closed;
    ModelUse held = {};             // while open
    ServedModel* served = nullptr;  // while open or closing
    std::chrono::steady_clock::time_point used = {};
    std::uint64_t bytes = 0;  // while opening, open or closing; afterwards what it took the last time
  };
  struct Request {
    std::string name;
    Opened then;
  };

  Entry* entry(const std::string& name) const;
  Entry* known(const std::string& name);
  void work();
  void free_closed(std::unique_lock<std::mutex>& lock);
  void close_idle(std::unique_lock<std::mutex>& lock);
  void answer(std::unique_lock<std::mutex>& lock, const Request& request);
  void load(std::unique_lock<std::mutex>& lock, Entry& entry);
  void make_room(std::unique_lock<std::mutex>& lock, const Entry& entry, std::uint64_t bytes);
  Entry* longest_idle() const;
  void let_go(std::unique_lock<std::mutex>& lock, Entry& entry);
  bool some_may_let_go() const;
  std::uint64_t bytes_held() const;
  std::string what_is_open(bool with_bytes) const;
  ModelUse use(Entry& entry);
  void give_back(ServedModel* served);

  const ModelSetOptions options_;
  Turns turns_;
  mutable std::mutex mutex_;
  std::condition_variable news_, closed_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::deque<Request> requests_;
  std::vector<ServedModel*> given_back_;
  std::atomic<bool> stopping_{false};
  bool leaving_ = false;
  std::thread worker_;
};

}  // namespace bitnet
