// AnswerWriter: an answer in the words of a protocol, whole or as what is sent while it is made.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/completion_job.h"
#include "server/tool_call_reader.h"

namespace bitnet::server {

// What a writer may look at. The job's results are there once its answers have ended.
struct AnswerContext {
  const CompletionJob& job;  // that was started
  std::string id;            // of the answer, unique; protocols put a prefix before it
  std::int64_t created;      // Unix time in seconds
  const CompletionRequest& request() const { return job.request(); }
  const Engine& engine() const { return job.model().engine(); }
  const std::string& model() const { return job.model().name(); }
};

// An answer in the words of a protocol. Called in this order, on the server's thread: begin; parts of each answer and its end,
// in whatever order answers' tokens come; end. Or whole alone. What the calls return is sent; it may be empty.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;
  virtual const char* content_type() const { return "text/event-stream"; }
  virtual std::string heartbeat() { return ":\n\n"; }  // after a silence
  virtual std::string begin() = 0;
  // `scores` of the tokens that the part stands for, where they were asked for.
  virtual std::string part(std::int64_t index, const AnswerPart& part, const std::vector<TokenScore>& scores) = 0;
  virtual std::string ended(std::int64_t index) = 0;
  virtual std::string end(const ApiError* error) = 0;  // `error`: an answer failed after the stream began
  virtual Json whole() = 0;                            // the answer's body; throws ApiError when an answer failed
};

// "data: ...\n\n", with a name "event: ...\n" before it.
std::string sse_event(const Json& data);
std::string sse_event(const char* name, const Json& data);

}  // namespace bitnet::server
