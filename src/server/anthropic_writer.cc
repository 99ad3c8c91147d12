// Messages of content blocks: blocks open, grow and close in the order in which the answer's parts come.
#include <utility>

#include "server/anthropic.h"

namespace bitnet::server {
namespace {

class AnthropicWriter final : public AnswerWriter {
 public:
  explicit AnthropicWriter(AnswerContext context) : context_(std::move(context)) {}

  std::string heartbeat() override { return event("ping", Json::object()); }

  std::string begin() override {
    Json message = this->message();
    message["usage"] = {{"input_tokens", context_.request().prompts.front().size()}, {"output_tokens", 0}};
    return event("message_start", {{"message", std::move(message)}}) + heartbeat();
  }

  std::string part(std::int64_t, const AnswerPart& part, const std::vector<TokenScore>&) override {
    switch (part.kind) {
      case AnswerPart::Kind::text: {
        if (part.text.empty()) return "";
        std::string out = open_ ? "" : open({{"type", "text"}, {"text", ""}});
        return out + delta({{"type", "text_delta"}, {"text", part.text}});
      }
      case AnswerPart::Kind::call: {
        std::string out = close();
        const Json block = {{"type", "tool_use"}, {"id", call_id(calls_++)}, {"name", part.text}, {"input", Json::object()}};
        return out + open(block);
      }
      case AnswerPart::Kind::arguments:
        return delta({{"type", "input_json_delta"}, {"partial_json", part.text}});
      case AnswerPart::Kind::call_end:
        break;
    }
    return close();
  }

  std::string ended(std::int64_t) override { return close(); }

  std::string end(const ApiError* error) override {
    if (error != nullptr) return sse_event("error", anthropic_error(*error));
    const GenerateResult& result = context_.job.result(0);
    std::string out = event("message_delta", {{"delta", stop_json(result, calls_ > 0)}, {"usage", usage()}});
    return out + event("message_stop", Json::object());
  }

  Json whole() override {
    const GenerateResult& result = *context_.job.answers().front().result;
    const ReadAnswer read = read_answer(result.text, context_.request().calls);
    Json out = message();
    if (!read.text.empty()) out["content"].push_back({{"type", "text"}, {"text", read.text}});
    for (const ToolCall& call : read.calls)
      out["content"].push_back(
          {{"type", "tool_use"}, {"id", call_id(calls_++)}, {"name", call.name}, {"input", arguments_json(call.arguments)}});
    out.update(stop_json(result, calls_ > 0));
    out["usage"] = usage();
    return out;
  }

 private:
  static std::string event(const char* type, const Json& fields) {
    Json data = {{"type", type}};
    data.update(fields);
    return sse_event(type, data);
  }

  std::string call_id(std::int64_t call) const { return fmt::format("toolu_{}_{}", context_.id, call); }

  std::string open(const Json& block) {
    open_ = true;
    return event("content_block_start", {{"index", block_}, {"content_block", block}});
  }
  std::string delta(const Json& delta) const { return event("content_block_delta", {{"index", block_}, {"delta", delta}}); }
  std::string close() {
    if (!open_) return "";
    open_ = false;
    return event("content_block_stop", {{"index", block_++}});
  }

  static Json stop_json(const GenerateResult& result, bool called) {
    const bool by_string = !result.stop_string.empty();
    const char* reason = result.finish_reason != FinishReason::stop ? "max_tokens"
                         : by_string                                ? "stop_sequence"
                         : called                                   ? "tool_use"
                                                                    : "end_turn";
    return {{"stop_reason", reason}, {"stop_sequence", by_string ? Json(result.stop_string) : Json()}};
  }

  // What was found in the cache is not counted among the input here.
  Json usage() const {
    const Usage usage = context_.job.usage();
    return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
            {"cache_creation_input_tokens", 0},
            {"cache_read_input_tokens", usage.cached_tokens},
            {"output_tokens", usage.completion_tokens}};
  }

  Json message() const {
    return {{"id", "msg_" + context_.id}, {"type", "message"},      {"role", "assistant"},     {"model", context_.model()},
            {"content", Json::array()},   {"stop_reason", nullptr}, {"stop_sequence", nullptr}};
  }

  AnswerContext context_;
  std::int64_t block_ = 0, calls_ = 0;
  bool open_ = false;
};

const char* error_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

}  // namespace

Json anthropic_error(const ApiError& error) {
  return {{"type", "error"}, {"error", {{"type", error_type(error.status)}, {"message", error.message}}}};
}

std::unique_ptr<AnswerWriter> anthropic_writer(AnswerContext context) {
  return std::make_unique<AnthropicWriter>(std::move(context));
}

}  // namespace bitnet::server
