// Opens and closes models on a thread of its own, within limits.
#include "inference/model_set.h"

#include <algorithm>
#include <future>
#include <limits>
#include <utility>

#include "inference/model_folder.h"
#include "models/model_files.h"

namespace bitnet {
namespace {

constexpr std::size_t longest_name = 256;
constexpr std::chrono::seconds letting_go_time{1};

SchedulerOptions within(SchedulerOptions options, const Engine& engine) {
  options.most_running = std::min(options.most_running, engine.max_batch());
  return options;
}

std::string mebibytes(std::uint64_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20)); }

// Thrown where a model finds no room, to be told from what Engine::open throws.
struct NoRoom : Error {
  using Error::Error;
};

}  // namespace

const char* text(ModelState state) {
  switch (state) {
    case ModelState::opening:
      return "opening";
    case ModelState::open:
      return "open";
    case ModelState::closing:
      return "closing";
    case ModelState::closed:
      break;
  }
  return "closed";
}

ServedModel::ServedModel(std::string name, std::unique_ptr<Engine> engine, const SchedulerOptions& options, Turns& turns)
    : name_(std::move(name)), engine_(std::move(engine)), scheduler_(*engine_, within(options, *engine_)) {
  stepping_ = std::thread([this, &turns] {
    scheduler_.run(&turns);
    stopped_ = true;
  });
}

ServedModel::~ServedModel() {
  scheduler_.stop(false);
  stepping_.join();
}

ModelSet::ModelSet(ModelSetOptions options) : options_(std::move(options)), worker_([this] { work(); }) {}

ModelSet::~ModelSet() {
  stop(false);
  std::unique_lock lock(mutex_);
  for (const auto& entry : entries_) {
    if (entry->held) let_go(lock, *entry);
  }
  closed_.wait(lock, [&] {
    return requests_.empty() &&
           std::all_of(entries_.begin(), entries_.end(), [](const auto& e) { return e->state == ModelState::closed; });
  });
  leaving_ = true;
  news_.notify_all();
  lock.unlock();
  worker_.join();
}

void ModelSet::add(const std::string& name, ModelSource source) {
  if (name.empty() || name.size() > longest_name)
    fail(ErrorKind::usage, "the name of a model has {} bytes, allowed are 1 to {}", name.size(), longest_name);
  const std::lock_guard lock(mutex_);
  if (entry(name) != nullptr) fail(ErrorKind::usage, "two models have the name '{}'", printable(name));
  entries_.push_back(std::make_unique<Entry>(Entry{name, std::move(source)}));
}

ModelSet::Entry* ModelSet::entry(const std::string& name) const {
  for (const auto& entry : entries_) {
    if (entry->name == name) return entry.get();
  }
  return nullptr;
}

// An entry, made for a model of the folder that was not asked for before.
ModelSet::Entry* ModelSet::known(const std::string& name) {
  if (Entry* found = entry(name)) return found;
  if (options_.folder.empty()) return nullptr;
  const auto path = model_in(options_.folder, name);
  if (!path) return nullptr;
  ModelSource source = options_.in_folder;
  source.path = *path;
  entries_.push_back(std::make_unique<Entry>(Entry{name, std::move(source)}));
  return entries_.back().get();
}

std::optional<std::string> ModelSet::name_for(const std::string& asked) const {
  const std::lock_guard lock(mutex_);
  const bool one = options_.folder.empty() && entries_.size() == 1;
  if (!entries_.empty() && (asked.empty() || one)) return entries_.front()->name;
  const bool there = entry(asked) != nullptr || (!options_.folder.empty() && model_in(options_.folder, asked));
  return there ? std::optional(asked) : std::nullopt;
}

ModelUse ModelSet::use(Entry& entry) {
  entry.used = std::chrono::steady_clock::now();
  return entry.held;
}

ModelUse ModelSet::find(const std::string& name) {
  const std::lock_guard lock(mutex_);
  Entry* found = entry(name);
  return found != nullptr && found->held ? use(*found) : nullptr;
}

void ModelSet::open(const std::string& name, Opened then) {
  ModelUse model;
  std::optional<ModelFailure> failure;
  {
    const std::lock_guard lock(mutex_);
    Entry* found = known(name);
    if (found == nullptr) {
      failure = ModelFailure{Error(ErrorKind::not_found, fmt::format("there is no model '{}' here", printable(name)))};
    } else if (found->held) {
      model = use(*found);
    } else if (stopping_) {
      failure = ModelFailure{Error(ErrorKind::cancelled, "no model is opened any more")};
    } else {
      requests_.push_back({name, std::move(then)});
      news_.notify_all();
      return;
    }
  }
  then(std::move(model), failure ? &*failure : nullptr);
}

ModelUse ModelSet::open(const std::string& name) {
  struct Result {
    ModelUse model;
    std::optional<Error> error;
  };
  const auto opened = std::make_shared<std::promise<Result>>();
  open(name, [opened](ModelUse model, const ModelFailure* failure) {
    opened->set_value({std::move(model), failure != nullptr ? std::optional(failure->error) : std::nullopt});
  });
  Result result = opened->get_future().get();
  if (result.error) throw Error(*result.error);
  return std::move(result.model);
}

bool ModelSet::close(const std::string& name) {
  std::unique_lock lock(mutex_);
  Entry* found = entry(name);
  if (found == nullptr || !found->held) return false;
  let_go(lock, *found);
  return true;
}

std::vector<ModelStatus> ModelSet::list() const {
  std::vector<ModelStatus> all;
  const std::vector<std::string> files = options_.folder.empty() ? std::vector<std::string>() : models_in(options_.folder);
  const std::lock_guard lock(mutex_);
  for (const auto& entry : entries_) {
    const bool counts = entry->state == ModelState::open || entry->state == ModelState::closing;
    all.push_back({entry->name, entry->state, entry->held ? entry->held.use_count() - 1 : 0, counts ? entry->bytes : 0,
                   entry->served != nullptr ? entry->served->scheduler().status() : SchedulerStatus()});
  }
  for (const std::string& name : files) {
    if (entry(name) == nullptr) all.push_back({name});
  }
  return all;
}

void ModelSet::stop(bool drain) {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  for (const auto& entry : entries_) {
    if (entry->served != nullptr) entry->served->scheduler().stop(drain);
  }
  news_.notify_all();
}

bool ModelSet::stopped() const {
  const std::lock_guard lock(mutex_);
  return stopping_ && std::all_of(entries_.begin(), entries_.end(),
                                  [](const auto& entry) { return entry->served == nullptr || entry->served->stopped(); });
}

// The last user has let go, on whatever thread: the worker ends and frees the model.
void ModelSet::give_back(ServedModel* served) {
  const std::lock_guard lock(mutex_);
  given_back_.push_back(served);
  news_.notify_all();
}

// The set's own use ends. Its destruction takes the lock, so it happens outside.
void ModelSet::let_go(std::unique_lock<std::mutex>& lock, Entry& entry) {
  entry.state = ModelState::closing;
  ModelUse last = std::move(entry.held);
  entry.held = nullptr;
  lock.unlock();
  last.reset();
  lock.lock();
}

void ModelSet::work() {
  std::unique_lock lock(mutex_);
  while (!leaving_) {
    free_closed(lock);
    close_idle(lock);
    if (!given_back_.empty()) continue;
    // One that is still in use after close() is opened anew once it is closed.
    const auto next = std::find_if(requests_.begin(), requests_.end(), [&](const Request& request) {
      return stopping_ || entry(request.name)->state != ModelState::closing;
    });
    if (next != requests_.end()) {
      const Request request = std::move(*next);
      requests_.erase(next);
      answer(lock, request);
      continue;
    }
    if (options_.idle_time.count() > 0) {
      news_.wait_for(lock, std::min<std::chrono::milliseconds>(options_.idle_time, std::chrono::seconds(1)));
    } else {
      news_.wait(lock);
    }
  }
}

void ModelSet::free_closed(std::unique_lock<std::mutex>& lock) {
  while (!given_back_.empty()) {
    ServedModel* served = given_back_.back();
    given_back_.pop_back();
    const auto place = std::find_if(entries_.begin(), entries_.end(), [&](const auto& e) { return e->served == served; });
    Entry& entry = **place;
    entry.served = nullptr;
    lock.unlock();
    delete served;
    lock.lock();
    entry.state = ModelState::closed;
    closed_.notify_all();
  }
}

void ModelSet::close_idle(std::unique_lock<std::mutex>& lock) {
  if (options_.idle_time.count() == 0) return;
  const auto now = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = *entries_[i];
    if (entry.held && entry.held.use_count() > 1) entry.used = now;
    if (entry.held && now - entry.used >= options_.idle_time) let_go(lock, entry);
  }
}

void ModelSet::answer(std::unique_lock<std::mutex>& lock, const Request& request) {
  Entry& wanted = *entry(request.name);
  std::optional<ModelFailure> failure;
  try {
    if (!wanted.held) load(lock, wanted);
  } catch (const NoRoom& error) {
    failure = ModelFailure{error, true};
  } catch (const Error& error) {
    failure = ModelFailure{error};
  } catch (const std::bad_alloc&) {
    failure = ModelFailure{Error(ErrorKind::too_big, "there is not enough memory")};
  } catch (const std::exception& error) {
    failure = ModelFailure{Error(ErrorKind::runtime, error.what())};
  }
  if (!lock.owns_lock()) lock.lock();
  if (failure) wanted.state = ModelState::closed;
  ModelUse model = failure ? nullptr : use(wanted);
  lock.unlock();
  request.then(std::move(model), failure ? &*failure : nullptr);
  lock.lock();
  closed_.notify_all();
}

// Throws with the lock held or not.
void ModelSet::load(std::unique_lock<std::mutex>& lock, Entry& entry) {
  if (stopping_) fail(ErrorKind::cancelled, "no model is opened any more");
  entry.state = ModelState::opening;
  const ModelSource source = entry.source;
  std::uint64_t bytes = entry.bytes;  // what it took before is what it will take
  lock.unlock();
  if (bytes == 0) bytes = ModelFiles::open(source.path).bytes() + source.engine.kv_bytes;
  lock.lock();
  make_room(lock, entry, bytes);
  lock.unlock();
  std::unique_ptr<Engine> engine = Engine::open(source.path, source.engine, [&](std::uint64_t done, std::uint64_t total) {
    if (stopping_) fail(ErrorKind::cancelled, "no model is opened any more");
    if (options_.on_load) options_.on_load(entry.name, done, total);
  });
  bytes = engine->weight_bytes() + source.engine.kv_bytes;
  lock.lock();
  entry.bytes = bytes;
  make_room(lock, entry, bytes);  // the file told less than it takes
  ModelUse model(new ServedModel(entry.name, std::move(engine), source.scheduler, turns_),
                 [this](ServedModel* served) { give_back(served); });
  entry.served = model.get(), entry.held = std::move(model), entry.state = ModelState::open;
}

void ModelSet::make_room(std::unique_lock<std::mutex>& lock, const Entry& entry, std::uint64_t bytes) {
  const auto patience = std::chrono::steady_clock::now() + letting_go_time;
  while (true) {
    free_closed(lock);
    if (stopping_) fail(ErrorKind::cancelled, "no model is opened any more");
    const std::int64_t open = std::count_if(entries_.begin(), entries_.end(), [](const auto& e) { return e->served; });
    const std::uint64_t held = bytes_held();
    const bool too_many = options_.most_open > 0 && open >= options_.most_open;
    const std::uint64_t most_bytes = options_.most_bytes > 0 ? options_.most_bytes : std::numeric_limits<std::uint64_t>::max();
    const bool too_big = bytes > most_bytes || held > most_bytes - bytes;
    if (!too_many && !too_big) return;
    if (Entry* idle = longest_idle()) {
      let_go(lock, *idle);
    } else if (bytes <= most_bytes && some_may_let_go() && std::chrono::steady_clock::now() < patience) {
      news_.wait_for(lock, std::chrono::milliseconds(5));  // nobody tells of a use that is not the last
    } else if (too_many) {
      throw NoRoom(ErrorKind::too_big,
                   fmt::format("model '{}' would be one more than the {} that may be open, which are in use: {}",
                               printable(entry.name), options_.most_open, what_is_open(false)));
    } else {
      throw NoRoom(ErrorKind::too_big,
                   fmt::format("model '{}' takes {}, models may take {} together{}", printable(entry.name), mebibytes(bytes),
                               mebibytes(options_.most_bytes), held > 0 ? "; in use: " + what_is_open(true) : ""));
    }
  }
}

ModelSet::Entry* ModelSet::longest_idle() const {
  Entry* found = nullptr;
  for (const auto& entry : entries_) {
    if (!entry->held || entry->held.use_count() > 1) continue;
    if (found == nullptr || entry->used < found->used) found = entry.get();
  }
  return found;
}

// Is there a model in use on which nothing runs?
bool ModelSet::some_may_let_go() const {
  return std::any_of(entries_.begin(), entries_.end(), [](const auto& entry) {
    if (entry->served == nullptr) return false;
    const SchedulerStatus status = entry->served->scheduler().status();
    return status.running + status.waiting == 0;
  });
}

std::uint64_t ModelSet::bytes_held() const {
  std::uint64_t bytes = 0;
  for (const auto& entry : entries_) bytes += entry->served != nullptr ? entry->bytes : 0;
  return bytes;
}

std::string ModelSet::what_is_open(bool with_bytes) const {
  std::string text;
  for (const auto& entry : entries_) {
    if (entry->served == nullptr) continue;
    text += fmt::format("{}'{}'", text.empty() ? "" : ", ", printable(entry->name));
    if (with_bytes) text += " with " + mebibytes(entry->bytes);
  }
  return text;
}

}  // namespace bitnet
