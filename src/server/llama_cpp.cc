// llama.cpp's completion: read, written whole and as a stream without names and without [DONE].
#include "server/llama_cpp.h"

#include <utility>

#include "server/constraint_fields.h"
#include "server/openai_writer.h"
#include "server/sampling_fields.h"
#include "server/token_scores.h"

namespace bitnet::server {
namespace {

void refuse_unsupported(const Fields& fields) {
  for (const char* name : {"image_data", "lora", "response_fields"}) {
    const Json* list = fields.array(name, 1024);
    if (list != nullptr && !list->empty()) refuse_field(name, "");
  }
  if (fields.boolean("post_sampling_probs").value_or(false)) refuse_field("post_sampling_probs", "");
  if (fields.number("t_max_predict_ms", -1, 1e9).value_or(0) > 0) refuse_field("t_max_predict_ms", "");
}

Json probabilities(const std::vector<TokenScore>& scores, const Engine& engine) {
  Json out = Json::array();
  const auto one = [&](TokenId id, double log_probability) {
    Json token = {{"id", id}};
    token.update(scored_token(engine, id, log_probability));
    return token;
  };
  for (const TokenScore& score : scores) {
    Json token = one(score.id, score.log_probability);
    token["top_logprobs"] = Json::array();
    for (const auto& [id, log_probability] : score.top) token["top_logprobs"].push_back(one(id, log_probability));
    out.push_back(std::move(token));
  }
  return out;
}

Json timings_json(const Timings& t) {
  const auto rates = [](Json& out, const std::string& name, std::int64_t count, double seconds) {
    out[name + "_n"] = count, out[name + "_ms"] = seconds * 1e3;
    out[name + "_per_token_ms"] = count == 0 ? 0 : seconds * 1e3 / static_cast<double>(count);
    out[name + "_per_second"] = seconds > 0 ? static_cast<double>(count) / seconds : 0;
  };
  Json out = {{"cache_n", t.cached_tokens}};
  rates(out, "prompt", t.prompt_tokens, t.prompt_seconds);
  rates(out, "predicted", t.generated_tokens, t.generate_seconds);
  return out;
}

class LlamaWriter final : public AnswerWriter {
 public:
  explicit LlamaWriter(AnswerContext context) : context_(std::move(context)) {}

  std::string begin() override { return ""; }

  std::string part(std::int64_t index, const AnswerPart& part, const std::vector<TokenScore>& scores) override {
    Json out = {{"index", index}, {"content", part.text}, {"tokens", Json::array()}, {"stop", false}, {"id_slot", -1}};
    if (!scores.empty()) out["completion_probabilities"] = probabilities(scores, context_.engine());
    return sse_event(out);
  }

  std::string ended(std::int64_t index) override {
    Json out = last(index, context_.job.result(index));
    out["content"] = "", out["tokens"] = Json::array();
    out.erase("completion_probabilities");
    return sse_event(out);
  }

  std::string end(const ApiError* error) override { return error == nullptr ? "" : sse_event(error_body(*error)); }

  Json whole() override {
    Json all = Json::array();
    for (const Answer& answer : context_.job.answers()) all.push_back(last(answer.index, *answer.result));
    return all.size() == 1 ? Json(all.front()) : all;
  }

 private:
  bool returns_tokens() const {
    const Json& given = context_.request().given_back;
    return given.is_object() && given.contains("tokens");
  }

  Json last(std::int64_t index, const GenerateResult& result) const {
    const bool stopped = result.finish_reason == FinishReason::stop, by_word = !result.stop_string.empty();
    const auto& prompt = context_.request().prompts[static_cast<std::size_t>(index)];
    const SamplingParams& sampling = context_.request().generate.sampling;
    Json out = {{"index", index},
                {"content", result.text},
                {"tokens", returns_tokens() ? Json(result.ids) : Json::array()},
                {"id_slot", -1},
                {"stop", true},
                {"model", context_.model()},
                {"tokens_predicted", result.ids.size()},
                {"tokens_evaluated", prompt.size()},
                {"tokens_cached", result.timings.cached_tokens},
                {"truncated", false},
                {"has_new_line", result.text.find('\n') != std::string::npos},
                {"stop_type", !stopped  ? "limit"
                              : by_word ? "word"
                                        : "eos"},
                {"stopping_word", result.stop_string},
                {"generation_settings",
                 {{"n_predict", context_.request().generate.max_tokens},
                  {"seed", sampling.seed},
                  {"temperature", sampling.temperature},
                  {"top_k", sampling.top_k},
                  {"top_p", sampling.top_p},
                  {"min_p", sampling.min_p},
                  {"stop", context_.request().generate.stop}}},
                {"timings", timings_json(result.timings)}};
    if (!result.scores.empty()) out["completion_probabilities"] = probabilities(result.scores, context_.engine());
    return out;
  }

  AnswerContext context_;
};

}  // namespace

CompletionRequest read_llama_request(const Json& body, const Engine& engine) {
  const Fields fields(body);
  refuse_unsupported(fields);
  CompletionRequest request;
  read_sampling(fields, engine, request.generate);
  read_stops(fields, "stop", request.generate);
  request.generate.constraint = read_constraint(fields);
  request.generate.max_tokens = read_token_count(fields, "n_predict", -2).value_or(-1);
  const auto probabilities = fields.integer("n_probs", 0, 20).value_or(0);
  request.generate.scores = probabilities > 0 ? probabilities : -1;
  request.model = fields.text("model").value_or("");
  request.stream = fields.boolean("stream").value_or(false);
  if (fields.boolean("return_tokens").value_or(false)) request.given_back = {{"tokens", true}};
  if (fields.find("prompt") == nullptr) bad_field("prompt", "is missing");
  read_prompts(fields, engine, request);
  if (request.stream && request.prompts.size() > 1) bad_field("prompt", "has several entries, which cannot be streamed");
  return request;
}

std::unique_ptr<AnswerWriter> llama_writer(AnswerContext context) { return std::make_unique<LlamaWriter>(std::move(context)); }

CompletionRequest read_either_request(const Json& body, const Engine& engine) {
  if (Fields(body).find("n_predict") == nullptr) return read_text_request(body, engine);
  CompletionRequest request = read_llama_request(body, engine);
  request.given_back["dialect"] = "llama.cpp";
  return request;
}

std::unique_ptr<AnswerWriter> either_writer(AnswerContext context) {
  const Json& given = context.request().given_back;
  return given.is_object() && given.contains("dialect") ? llama_writer(std::move(context)) : openai_writer(std::move(context));
}

}  // namespace bitnet::server
