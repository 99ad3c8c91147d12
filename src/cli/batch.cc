// `bitnet batch`: a file of requests in, a file of answers out, in the form of OpenAI's batch API.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <deque>
#include <fstream>
#include <set>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/served_models.h"
#include "cli/terminal.h"
#include "common/error.h"
#include "server/completion_job.h"
#include "server/json_fields.h"
#include "server/openai_writer.h"

namespace bitnet::cli {
namespace {

using server::ApiError;
using server::Json;

struct BatchOptions {
  ServedModelsOptions models;
  std::string in, out;
};

constexpr std::size_t max_line_bytes = 8u << 20;

// One line of the input.
struct Entry {
  std::string id;  // custom_id
  std::size_t line;
  Json body;
  bool chat = false;
};

Entry read_entry(const std::string& text, std::size_t line) {
  const Json json = server::parse_json(text);
  const server::Fields fields(json);
  Entry entry{fields.text("custom_id").value_or(""), line, {}, false};
  if (entry.id.empty()) server::bad_field("custom_id", "is missing");
  const auto method = fields.text("method").value_or("POST"), url = fields.text("url").value_or("");
  if (method != "POST") server::bad_field("method", "is '{}', only POST is allowed", printable(method));
  entry.chat = url == "/v1/chat/completions";
  if (!entry.chat && url != "/v1/completions")
    server::bad_field("url", "is '{}', allowed are /v1/chat/completions and /v1/completions", printable(url));
  if (const Json* body = fields.object("body")) entry.body = *body;
  if (entry.body.is_null()) server::bad_field("body", "is missing");
  return entry;
}

// All of them are read before the first runs, so that a broken file costs nothing.
std::vector<Entry> read_entries(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorKind::not_found, "{}: cannot open", printable(path, 512));
  std::vector<Entry> entries;
  std::set<std::string> known;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (line.size() > max_line_bytes)
      fail(ErrorKind::too_big, "{}: line {} has {} bytes, at most {} are allowed", printable(path, 512), number, line.size(),
           max_line_bytes);
    try {
      entries.push_back(read_entry(line, number));
    } catch (const ApiError& error) {
      fail(ErrorKind::usage, "{}: line {}: {}", printable(path, 512), number, error.message);
    }
    if (!known.insert(entries.back().id).second)
      fail(ErrorKind::usage, "{}: line {}: custom_id '{}' stands there before", printable(path, 512), number,
           printable(entries.back().id));
  }
  if (file.bad()) fail(ErrorKind::io, "{}: cannot read", printable(path, 512));
  if (entries.empty()) fail(ErrorKind::usage, "{}: holds no requests", printable(path, 512));
  return entries;
}

// The output grows by whole lines, each written at once: what is there when the run is cut is taken up by the next.
class Answers {
 public:
  explicit Answers(const std::string& path) : path_(path) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail(ErrorKind::io, "{}: cannot open: {}", printable(path, 512), std::strerror(errno));
    take_up();
  }
  ~Answers() { ::close(descriptor_); }
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;

  bool has(const std::string& id) const { return done_.count(id) > 0; }

  void add(const Json& answer) {
    const std::string line = answer.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    for (std::size_t at = 0; at < line.size();) {
      const ssize_t wrote = ::pwrite(descriptor_, line.data() + at, line.size() - at, end_ + static_cast<off_t>(at));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) fail(ErrorKind::io, "{}: cannot write: {}", printable(path_, 512), std::strerror(errno));
      at += static_cast<std::size_t>(wrote);
    }
    end_ += static_cast<off_t>(line.size());
  }

 private:
  // Remembers the answers that are whole and cuts off a last line that is not.
  void take_up() {
    std::ifstream file(path_, std::ios::binary);
    std::size_t number = 0;
    for (std::string line; std::getline(file, line) && !file.eof();) {
      ++number;
      const Json answer = Json::parse(line, nullptr, false);
      if (!answer.is_object() || !answer.contains("custom_id") || !answer["custom_id"].is_string())
        fail(ErrorKind::usage, "{}: line {} is no answer of a batch; the file is left as it is", printable(path_, 512), number);
      done_.insert(answer["custom_id"].get<std::string>());
      end_ += static_cast<off_t>(line.size()) + 1;
    }
    if (::ftruncate(descriptor_, end_) != 0)
      fail(ErrorKind::io, "{}: cannot write: {}", printable(path_, 512), std::strerror(errno));
  }

  std::string path_;
  int descriptor_;
  off_t end_ = 0;
  std::set<std::string> done_;
};

struct Running {
  const Entry* entry;
  std::shared_ptr<server::CompletionJob> job;  // null: it was refused
  std::optional<ApiError> error;
};

// The model of a line; the first one where it names none.
ModelUse model_of(const Entry& entry, ModelSet& models) {
  const std::string asked = server::Fields(entry.body).text("model").value_or("");
  const auto name = models.name_for(asked);
  if (!name)
    throw ApiError(404, "not_found_error", fmt::format("no -m has the name '{}'", printable(asked)), "model_not_found",
                   "model");
  return models.open(*name);
}

Running start(const Entry& entry, ModelSet& models) {
  Running running{&entry, nullptr, std::nullopt};
  try {
    ModelUse model = model_of(entry, models);
    const Engine& engine = model->engine();
    server::CompletionRequest request =
        entry.chat ? server::read_chat_request(entry.body, engine) : server::read_text_request(entry.body, engine);
    request.stream = false;
    running.job = server::CompletionJob::make(std::move(request), {});
    running.job->start(std::move(model), std::nullopt);
  } catch (const ApiError& error) {
    running.job = nullptr, running.error = error;
  }
  return running;
}

// The answer's line; waits for it.
Json answer_of(Running& running) {
  const Entry& entry = *running.entry;
  const std::string id = fmt::format("batch_req_{}", entry.line);
  Json body;
  int status = 200;
  try {
    if (running.error) throw ApiError(*running.error);
    running.job->wait();
    body = server::openai_writer({*running.job, id, 0})->whole();
  } catch (const ApiError& error) {
    status = error.status, body = server::error_body(error);
  }
  return {{"id", id},
          {"custom_id", entry.id},
          {"response", {{"status_code", status}, {"request_id", id}, {"body", std::move(body)}}},
          {"error", nullptr}};
}

int batch(BatchOptions o) {
  const InterruptGuard guard;
  const std::vector<Entry> entries = read_entries(o.in);
  Answers answers(o.out);
  o.models.scheduler.most_waiting = 1 << 20;  // the largest request there may be: all its answers wait at once
  const auto models = open_models(o.models);
  ProgressBar progress("computing", "requests");
  std::deque<Running> running;
  std::size_t done = 0, failed = 0;
  const auto finish_first = [&] {
    const Json answer = answer_of(running.front());
    stop_if_interrupted();
    failed += answer["response"]["status_code"] != 200;
    answers.add(answer);
    running.pop_front();
    progress.update(++done, entries.size());
  };
  for (const Entry& entry : entries) {
    stop_if_interrupted();
    if (answers.has(entry.id)) {
      ++done;
      continue;
    }
    running.push_back(start(entry, *models));
    // A few more than run together, so that none of the places is empty while answers are written in order.
    if (static_cast<std::int64_t>(running.size()) >= 2 * o.models.scheduler.most_running) finish_first();
  }
  while (!running.empty()) finish_first();
  progress.clear();
  if (failed == 0) return exit_ok;
  print_note(fmt::format("{} of {} requests were refused or failed; their lines say why", failed, entries.size()));
  return exit_runtime;
}

}  // namespace

CommandBody add_batch(CLI::App& command) {
  const auto o = std::make_shared<BatchOptions>();
  command.add_option("input", o->in, "requests, one JSON object a line: custom_id, url, body")
      ->type_name("IN.jsonl")
      ->required();
  command
      .add_option("-o,--output", o->out,
                  "answers, one a line in the same order; those that are there already are kept and not computed again")
      ->type_name("OUT.jsonl")
      ->required();
  command.add_option("--parallel", o->models.scheduler.most_running, "sequences computed together")
      ->type_name("N")
      ->check(CLI::Range(1, 512))
      ->capture_default_str();
  add_models_flag(command, o->models);
  add_threads_flag(command, o->models.model);
  add_engine_flags(command, o->models.model);
  add_progress_flag(command);
  command.footer(
      "The file is that of OpenAI's batch API; url is /v1/chat/completions or /v1/completions. With a seed in each body the "
      "output\n"
      "is the same whatever runs together and however often the run was cut.");
  return [o] { return batch(*o); };
}

}  // namespace bitnet::cli
