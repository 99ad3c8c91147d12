// Objects of Ollama's API: parts of an answer with "done": false, and a last one with how long it took.
#include <chrono>
#include <ctime>
#include <utility>

#include "server/ollama.h"
#include "server/token_scores.h"

namespace bitnet::server {
namespace {

std::int64_t nanoseconds(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

class OllamaWriter final : public AnswerWriter {
 public:
  explicit OllamaWriter(AnswerContext context) : context_(std::move(context)), chat_(context_.request().chat) {}

  const char* content_type() const override { return "application/x-ndjson"; }
  std::string heartbeat() override { return ""; }  // clients parse every line
  std::string begin() override { return ""; }

  std::string part(std::int64_t, const AnswerPart& part, const std::vector<TokenScore>& scores) override {
    switch (part.kind) {
      case AnswerPart::Kind::text: {
        Json out = head();
        add_text(out, part.text);
        if (!scores.empty()) out["logprobs"] = chat_logprobs(scores, context_.engine())["content"];
        out["done"] = false;
        return line(out);
      }
      case AnswerPart::Kind::call:
        call_ = {part.text, ""};
        break;
      case AnswerPart::Kind::arguments:
        call_.arguments += part.text;
        break;
      case AnswerPart::Kind::call_end: {
        Json out = head();
        add_text(out, "");
        out["message"]["tool_calls"] = Json::array({call_json(call_)});
        out["done"] = false;
        return line(out);
      }
    }
    return "";
  }

  std::string ended(std::int64_t) override { return ""; }

  std::string end(const ApiError* error) override {
    if (error != nullptr) return line(ollama_error(*error));
    Json out = head();
    add_text(out, "");
    add_end(out, context_.job.result(0));
    return line(out);
  }

  Json whole() override {
    const GenerateResult& result = *context_.job.answers().front().result;
    const ReadAnswer read = read_answer(result.text, context_.request().calls);
    Json out = head();
    add_text(out, read.text);
    for (const ToolCall& call : read.calls) out["message"]["tool_calls"].push_back(call_json(call));
    if (!result.scores.empty()) out["logprobs"] = chat_logprobs(result.scores, context_.engine())["content"];
    add_end(out, result);
    return out;
  }

 private:
  static std::string line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

  Json head() const { return {{"model", ollama_name(context_.model())}, {"created_at", utc_now()}}; }

  void add_text(Json& out, const std::string& text) const {
    if (chat_) {
      out["message"] = {{"role", "assistant"}, {"content", text}};
    } else {
      out["response"] = text;
    }
  }

  Json call_json(const ToolCall& call) {
    const Json function = {{"index", calls_}, {"name", call.name}, {"arguments", arguments_json(call.arguments)}};
    return {{"id", fmt::format("call_{}_{}", context_.id, calls_++)}, {"function", function}};
  }

  void add_end(Json& out, const GenerateResult& result) const {
    const Json& given = context_.request().given_back;
    out["done"] = true;
    const char* reason = result.finish_reason == FinishReason::stop ? "stop" : "length";
    out["done_reason"] = given.is_object() ? given["done_reason"] : Json(reason);
    const bool loads = given.is_object();
    const Timings& timings = result.timings;
    out["total_duration"] = nanoseconds(timings.first_token_seconds + timings.generate_seconds);
    out["load_duration"] = 0;
    out["prompt_eval_count"] = loads ? 0 : context_.job.usage().prompt_tokens;
    out["prompt_eval_duration"] = nanoseconds(timings.prompt_seconds);
    out["eval_count"] = timings.generated_tokens;
    out["eval_duration"] = nanoseconds(timings.generate_seconds);
  }

  AnswerContext context_;
  bool chat_;
  ToolCall call_;
  std::int64_t calls_ = 0;
};

}  // namespace

std::string utc_now() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() % 1'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:06}Z", text, micros);
}

Json ollama_error(const ApiError& error) { return {{"error", error.message}}; }

std::unique_ptr<AnswerWriter> ollama_writer(AnswerContext context) {
  return std::make_unique<OllamaWriter>(std::move(context));
}

}  // namespace bitnet::server
