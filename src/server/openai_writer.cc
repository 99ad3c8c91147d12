// The shapes of OpenAI's completion objects, to the letter.
#include "server/openai_writer.h"

#include <utility>

#include "server/token_scores.h"

namespace bitnet::server {
namespace {

Json legacy_logprobs(const Answer& answer, const Engine& engine) {
  const GenerateResult& result = *answer.result;
  if (result.scores.empty() && result.prompt_scores.empty()) return nullptr;
  const bool with_prompt = answer.prompt_ids != nullptr && !answer.prompt_ids->empty();
  // The token that begins a text has a place among the tokens, and none in the text.
  const std::string first = with_prompt ? token_text(engine, answer.prompt_ids->front()) : "";
  const bool is_in_text = !with_prompt || answer.prompt_text->starts_with(first);
  LegacyLogprobs all(engine, is_in_text ? 0 : -static_cast<std::int64_t>(first.size()));
  if (with_prompt) {
    all.add(answer.prompt_ids->front(), nullptr);
    for (const TokenScore& score : result.prompt_scores) all.add(score.id, &score);
  }
  for (const TokenScore& score : result.scores) all.add(score.id, &score);
  return all.json();
}

class OpenaiWriter final : public AnswerWriter {
 public:
  explicit OpenaiWriter(AnswerContext context)
      : context_(std::move(context)),
        chat_(context_.request().chat),
        answers_(context_.request().prompts.size() * static_cast<std::size_t>(context_.request().n)) {}

  // Roles for chat, the prompt for echo.
  std::string begin() override {
    std::string out;
    const CompletionRequest& request = context_.request();
    for (std::size_t i = 0; i < answers_.size(); ++i) {
      const auto index = static_cast<std::int64_t>(i);
      if (chat_) out += chunk(index, {{"delta", {{"role", "assistant"}, {"content", ""}}}}, nullptr, nullptr);
      if (!request.echo) continue;
      const std::string& prompt = request.prompt_texts[i / static_cast<std::size_t>(request.n)];
      out += chunk(index, {{"text", prompt}}, nullptr, nullptr);
      answers_[i].offset = static_cast<std::int64_t>(prompt.size());
    }
    return out;
  }

  std::string part(std::int64_t index, const AnswerPart& part, const std::vector<TokenScore>& scores) override {
    State& state = answers_[static_cast<std::size_t>(index)];
    switch (part.kind) {
      case AnswerPart::Kind::text:
        return text(index, part.text, scores);
      case AnswerPart::Kind::call: {
        const Json function = {{"name", part.text}, {"arguments", ""}};
        const std::int64_t call = state.calls++;
        return call_delta(index, {{"index", call}, {"id", call_id(index, call)}, {"type", "function"}, {"function", function}});
      }
      case AnswerPart::Kind::arguments:
        return call_delta(index, {{"index", state.calls - 1}, {"function", {{"arguments", part.text}}}});
      case AnswerPart::Kind::call_end:
        break;
    }
    return "";
  }

  std::string ended(std::int64_t index) override {
    const bool called = answers_[static_cast<std::size_t>(index)].calls > 0;
    const Json empty = chat_ ? Json{{"delta", Json::object()}} : Json{{"text", ""}};
    return chunk(index, empty, nullptr, reason(context_.job.result(index), called));
  }

  std::string end(const ApiError* error) override {
    std::string out;
    if (error != nullptr) out += sse_event(error_body(*error));
    if (context_.request().include_usage) {
      Json last = head(true);
      last["choices"] = Json::array();
      last["usage"] = usage_json(context_.job.usage());
      out += sse_event(last);
    }
    return out + "data: [DONE]\n\n";
  }

  Json whole() override {
    Json out = head(false);
    out["choices"] = Json::array();
    for (const Answer& answer : context_.job.answers()) {
      Json choice = {{"index", answer.index}};
      bool called = false;
      if (chat_) {
        choice["message"] = message(answer, called);
        choice["logprobs"] = chat_logprobs(answer.result->scores, context_.engine());
      } else {
        choice["text"] = (answer.prompt_text == nullptr ? "" : *answer.prompt_text) + answer.result->text;
        choice["logprobs"] = legacy_logprobs(answer, context_.engine());
      }
      choice["finish_reason"] = reason(*answer.result, called);
      out["choices"].push_back(std::move(choice));
    }
    out["usage"] = usage_json(context_.job.usage());
    return out;
  }

 private:
  struct State {
    std::int64_t offset = 0;  // of its next piece in its text
    std::int64_t calls = 0;   // that began
  };

  static const char* reason(const GenerateResult& result, bool called) {
    return called && result.finish_reason == FinishReason::stop ? "tool_calls" : finish_word(result.finish_reason);
  }

  std::string call_id(std::int64_t index, std::int64_t call) const {
    return fmt::format("call_{}_{}_{}", context_.id, index, call);
  }

  Json head(bool of_stream) const {
    const char* object = !chat_ ? "text_completion" : of_stream ? "chat.completion.chunk" : "chat.completion";
    return {{"id", (chat_ ? "chatcmpl-" : "cmpl-") + context_.id},
            {"object", object},
            {"created", context_.created},
            {"model", context_.model()},
            {"system_fingerprint", "bitnet-" BITNET_VERSION}};
  }

  std::string text(std::int64_t index, const std::string& text, const std::vector<TokenScore>& scores) {
    State& state = answers_[static_cast<std::size_t>(index)];
    if (chat_) return chunk(index, {{"delta", {{"content", text}}}}, chat_logprobs(scores, context_.engine()), nullptr);
    LegacyLogprobs all(context_.engine(), state.offset);
    for (const TokenScore& score : scores) all.add(score.id, &score);
    state.offset += static_cast<std::int64_t>(text.size());
    return chunk(index, {{"text", text}}, scores.empty() ? Json() : all.json(), nullptr);
  }

  std::string call_delta(std::int64_t index, Json call) {
    const Json delta = {{"tool_calls", Json::array({std::move(call)})}};
    return chunk(index, {{"delta", delta}}, nullptr, nullptr);
  }

  std::string chunk(std::int64_t index, const Json& content, Json logprobs, Json finish_reason) const {
    Json choice = {{"index", index}};
    choice.update(content);
    choice["logprobs"] = std::move(logprobs);
    choice["finish_reason"] = std::move(finish_reason);
    Json out = head(true);
    out["choices"] = Json::array({std::move(choice)});
    if (context_.request().include_usage) out["usage"] = nullptr;
    return sse_event(out);
  }

  Json message(const Answer& answer, bool& called) const {
    const ReadAnswer read = read_answer(answer.result->text, context_.request().calls);
    called = !read.calls.empty();
    Json out = {
        {"role", "assistant"}, {"content", called && read.text.empty() ? Json() : Json(read.text)}, {"refusal", nullptr}};
    if (!called) return out;
    out["tool_calls"] = Json::array();
    for (const ToolCall& call : read.calls) {
      const Json function = {{"name", call.name}, {"arguments", call.arguments}};
      const auto place = static_cast<std::int64_t>(out["tool_calls"].size());
      out["tool_calls"].push_back({{"id", call_id(answer.index, place)}, {"type", "function"}, {"function", function}});
    }
    return out;
  }

  AnswerContext context_;
  bool chat_;
  std::vector<State> answers_;
};

}  // namespace

const char* finish_word(FinishReason reason) { return reason == FinishReason::stop ? "stop" : "length"; }

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", 0}}}};
}

std::unique_ptr<AnswerWriter> openai_writer(AnswerContext context) {
  return std::make_unique<OpenaiWriter>(std::move(context));
}

}  // namespace bitnet::server
