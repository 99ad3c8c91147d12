// Response objects and their stream: items that open, grow and close, in the order in which the answer's parts come.
#include <utility>

#include "server/responses.h"

namespace bitnet::server {
namespace {

Json text_part(const std::string& text) {
  return {{"type", "output_text"}, {"text", text}, {"annotations", Json::array()}, {"logprobs", Json::array()}};
}

class ResponsesWriter final : public AnswerWriter {
 public:
  explicit ResponsesWriter(AnswerContext context) : context_(std::move(context)) {}

  std::string begin() override {
    const Json response = this->response("in_progress");
    std::string out = event("response.created", {{"response", response}});
    out += event("response.in_progress", {{"response", response}});
    return out;
  }

  std::string part(std::int64_t, const AnswerPart& part, const std::vector<TokenScore>&) override {
    std::string out;
    switch (part.kind) {
      case AnswerPart::Kind::text:
        if (open_ != Open::message) out = open_message();
        out += add_text(part.text);
        return out;
      case AnswerPart::Kind::call:
        out = close("completed");
        out += open_call(part.text);
        return out;
      case AnswerPart::Kind::arguments:
        text_ += part.text;
        return event("response.function_call_arguments.delta", at_item({{"delta", part.text}}));
      case AnswerPart::Kind::call_end:
        return close("completed");
    }
    return out;
  }

  std::string ended(std::int64_t index) override {
    std::string out;
    if (output_.empty() && open_ == Open::none) out += open_message();
    return out + close(is_whole(context_.job.result(index)) ? "completed" : "incomplete");
  }

  std::string end(const ApiError* error) override {
    if (error != nullptr) {
      Json failed = response("failed");
      failed["error"] = {{"code", "server_error"}, {"message", error->message}};
      return event("response.failed", {{"response", std::move(failed)}});
    }
    const bool whole = is_whole(context_.job.result(0));
    return event(whole ? "response.completed" : "response.incomplete", {{"response", ended_response()}});
  }

  Json whole() override {
    const Answer answer = context_.job.answers().front();
    const ReadAnswer read = read_answer(answer.result->text, context_.request().calls);
    const char* last = is_whole(*answer.result) ? "completed" : "incomplete";
    if (!read.text.empty() || read.calls.empty())
      output_.push_back(message_item(read.calls.empty() ? last : "completed", Json::array({text_part(read.text)})));
    for (std::size_t i = 0; i < read.calls.size(); ++i)
      output_.push_back(call_item(i + 1 < read.calls.size() ? "completed" : last, read.calls[i].name, read.calls[i].arguments));
    return ended_response();
  }

 private:
  enum class Open { none, message, call };

  static bool is_whole(const GenerateResult& result) { return result.finish_reason == FinishReason::stop; }

  std::string event(const char* type, Json fields) {
    Json data = {{"type", type}, {"sequence_number", sequence_++}};
    data.update(fields);
    return sse_event(type, data);
  }

  // The item that is open is the next of the output.
  std::string item_id(const char* prefix) const { return fmt::format("{}_{}_{}", prefix, context_.id, output_.size()); }
  Json at_item(Json fields) const {
    Json out = {{"item_id", item_id(open_ == Open::call ? "fc" : "msg")}, {"output_index", output_.size()}};
    out.update(fields);
    return out;
  }
  Json at_content(Json fields) const {
    Json out = at_item({{"content_index", 0}});
    out.update(fields);
    return out;
  }

  Json message_item(const char* status, Json content) const {
    return {{"id", item_id("msg")},
            {"type", "message"},
            {"status", status},
            {"role", "assistant"},
            {"content", std::move(content)}};
  }
  Json call_item(const char* status, const std::string& name, const std::string& arguments) const {
    return {{"id", item_id("fc")}, {"type", "function_call"}, {"status", status}, {"call_id", item_id("call")},
            {"name", name},        {"arguments", arguments}};
  }

  std::string open_message() {
    std::string out = close("completed");
    open_ = Open::message;
    out += event("response.output_item.added",
                 {{"output_index", output_.size()}, {"item", message_item("in_progress", Json::array())}});
    return out + event("response.content_part.added", at_content({{"part", text_part("")}}));
  }

  std::string open_call(const std::string& name) {
    open_ = Open::call, name_ = name;
    return event("response.output_item.added",
                 {{"output_index", output_.size()}, {"item", call_item("in_progress", name, "")}});
  }

  std::string add_text(const std::string& text) {
    if (text.empty()) return "";
    text_ += text;
    return event("response.output_text.delta", at_content({{"delta", text}, {"logprobs", Json::array()}}));
  }

  std::string close(const char* status) {
    if (open_ == Open::none) return "";
    std::string out;
    Json item;
    if (open_ == Open::message) {
      out += event("response.output_text.done", at_content({{"text", text_}, {"logprobs", Json::array()}}));
      out += event("response.content_part.done", at_content({{"part", text_part(text_)}}));
      item = message_item(status, Json::array({text_part(text_)}));
    } else {
      out += event("response.function_call_arguments.done", at_item({{"name", name_}, {"arguments", text_}}));
      item = call_item(status, name_, text_);
    }
    out += event("response.output_item.done", {{"output_index", output_.size()}, {"item", item}});
    output_.push_back(std::move(item));
    open_ = Open::none, text_.clear();
    return out;
  }

  Json response(const char* status) const {
    Json out = {{"id", "resp_" + context_.id},
                {"object", "response"},
                {"created_at", context_.created},
                {"status", status},
                {"background", false},
                {"error", nullptr},
                {"incomplete_details", nullptr},
                {"model", context_.model()},
                {"output", output_},
                {"previous_response_id", nullptr},
                {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
                {"service_tier", "default"},
                {"store", false},
                {"top_logprobs", 0},
                {"truncation", "disabled"},
                {"usage", nullptr}};
    out.update(context_.request().given_back);
    return out;
  }

  Json ended_response() const {
    const bool whole = is_whole(context_.job.result(0));
    Json out = response(whole ? "completed" : "incomplete");
    if (!whole) out["incomplete_details"] = {{"reason", "max_output_tokens"}};
    const Usage usage = context_.job.usage();
    out["usage"] = {{"input_tokens", usage.prompt_tokens},
                    {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
                    {"output_tokens", usage.completion_tokens},
                    {"output_tokens_details", {{"reasoning_tokens", 0}}},
                    {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
    return out;
  }

  AnswerContext context_;
  Json output_ = Json::array();  // items that are closed
  Open open_ = Open::none;
  std::string text_, name_;  // of the open item: its text or arguments; the function's name
  std::int64_t sequence_ = 0;
};

}  // namespace

std::unique_ptr<AnswerWriter> responses_writer(AnswerContext context) {
  return std::make_unique<ResponsesWriter>(std::move(context));
}

}  // namespace bitnet::server
