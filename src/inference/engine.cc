// Loads a model and generates with it.
#include "inference/engine.h"

#include <algorithm>
#include <array>

#include "common/checked.h"
#include "common/cpu_set.h"
#include "common/error.h"
#include "common/stopwatch.h"
#include "common/thread_pool.h"
#include "inference/engine_parts.h"
#include "inference/recommended_sampling.h"
#include "inference/speculation.h"
#include "inference/transformer.h"
#include "inference/vocabulary.h"
#include "kernels/dispatch.h"
#include "models/gguf_reader.h"
#include "models/model.h"
#include "tokenizers/chat_template.h"

namespace bitnet {
static_assert(Engine::logit_rows == Transformer::head_rows);
namespace {

// Pages that `bytes` of memory hold; refuses too few for one sequence of full length.
std::int64_t page_limit(std::uint64_t bytes, const KvShape& shape, std::int64_t n_ctx) {
  if (bytes == 0) return KvPages::unlimited;
  const auto pages = static_cast<std::int64_t>(bytes / static_cast<std::uint64_t>(shape.page_bytes()));
  const std::int64_t needed = ceil_div(n_ctx, kv_chunk_positions);
  if (pages < needed) {
    fail(ErrorKind::too_big, "the KV cache may take {} bytes, a context of {} tokens takes {}", bytes, n_ctx,
         needed * shape.page_bytes());
  }
  return pages;
}

}  // namespace

Engine::Engine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Engine::~Engine() = default;

std::unique_ptr<Engine> Engine::open(const std::string& path, const EngineOptions& options, const Progress& progress) {
  if (options.chunk < 1 || options.chunk > 8192) fail(ErrorKind::usage, "chunk is {}, allowed are 1 to 8192", options.chunk);
  if (options.n_ctx < 0) fail(ErrorKind::usage, "ctx is {}, allowed is 0 (the model's own) and more", options.n_ctx);
  auto parts = std::make_unique<Parts>();
  parts->options = options;
  parts->kernels = &select_kernels(options.isa);
  parts->pool = std::make_unique<ThreadPool>(thread_count(options.threads));
  Model file = Model::open(path);
  const std::int64_t trained = file.config().n_ctx;
  if (options.n_ctx > trained)
    fail(ErrorKind::too_big, "ctx is {}, the model was trained for {} positions", options.n_ctx, trained);
  parts->n_ctx = options.n_ctx == 0 ? trained : options.n_ctx;
  for (std::uint32_t i = 0; i < file.files().file_count(); ++i) parts->files.emplace_back(file.files().map(i));
  if (const HuggingFaceFolder* folder = file.files().folder()) parts->folder_config = folder->config().dump();
  parts->vocabulary = read_vocabulary(file);
  parts->recommended_sampling = bitnet::recommended_sampling(file.files());
  if (const Tokenizer* tokenizer = parts->vocabulary.tokenizer.get())
    parts->token_masks = std::make_unique<TokenMaskCache>(*tokenizer, file.config().n_vocab, parts->vocabulary.end_ids);
  parts->model = prepare(file, *parts->kernels, *parts->pool, progress, options.generates);
  const ModelConfig& c = parts->model.config;
  const KvShape shape{options.kv, c.n_layer, c.n_head_kv, c.head_dim};
  parts->kv_pages = std::make_unique<KvPages>(shape, page_limit(options.kv_bytes, shape, parts->n_ctx));
  parts->make_transformer();
  return std::unique_ptr<Engine>(new Engine(std::move(parts)));
}

const ModelConfig& Engine::config() const { return parts_->model.config; }
std::int64_t Engine::n_ctx() const { return parts_->n_ctx; }
const Tokenizer* Engine::tokenizer() const { return parts_->vocabulary.tokenizer.get(); }
const std::string& Engine::tokenizer_problem() const { return parts_->vocabulary.problem; }
const SamplingParams& Engine::recommended_sampling() const { return parts_->recommended_sampling; }
const char* Engine::isa() const { return parts_->kernels->name; }
int Engine::threads() const { return parts_->pool->threads(); }
bool Engine::has_chat_template() const { return parts_->vocabulary.chat_template != nullptr; }

bool Engine::is_end(TokenId id) const {
  const auto& ends = parts_->vocabulary.end_ids;
  return std::find(ends.begin(), ends.end(), id) != ends.end();
}

void Engine::set_threads(int threads) {
  parts_->transformer.reset();
  parts_->pool = std::make_unique<ThreadPool>(thread_count(threads));
  parts_->make_transformer();
}

std::uint64_t Engine::weight_bytes() const { return parts_->model.bytes(); }

SparseLimits Engine::sparse_limits() const { return parts_->model.sparse_limits; }

HiddenZeros Engine::hidden_zeros() const { return parts_->transformer->hidden_zeros(); }

KvPages& Engine::kv_pages() { return *parts_->kv_pages; }

std::uint64_t Engine::kv_bytes_per_token() const { return parts_->kv_pages->shape().bytes_per_position(); }

// Everything but an embedding table that is only looked up in.
std::uint64_t Engine::bytes_per_token(std::int64_t depth) const {
  const PreparedModel& model = parts_->model;
  // A scanned head's few exact rows do not count.
  const std::uint64_t tables = model.token_embd.resident_bytes() + model.output.resident_bytes();
  const HeadScan& scan = model.head_scan;
  const std::uint64_t head = scan.usable() ? scan.scanned_bytes() - scan.bytes() : model.head().stored_bytes();
  return model.bytes() - model.down_columns_bytes() - tables + head + kv_bytes_at(depth);
}

// Read of keys and values by one decode step at a depth: layers with a window read no more than that.
std::uint64_t Engine::kv_bytes_at(std::int64_t depth) const {
  const ModelConfig& c = config();
  const std::int64_t windowed = std::count(c.windowed.begin(), c.windowed.end(), true);
  const std::int64_t positions = depth * (c.n_layer - windowed) + std::min(depth, c.window) * windowed;
  return static_cast<std::uint64_t>(positions) * kv_bytes_per_token() / static_cast<std::uint64_t>(c.n_layer);
}

std::string Engine::render_chat(const nlohmann::ordered_json& messages, const ChatForm& form) const {
  if (!has_chat_template())
    fail(ErrorKind::unsupported, "the model file has no chat template: it completes text, it does not chat");
  const Tokenizer* tokenizer = this->tokenizer();
  const auto special = [&](const std::optional<TokenId>& id) {
    return id ? std::string(tokenizer->token_text(*id)) : std::string();
  };
  const Vocabulary& vocabulary = tokenizer->vocabulary();
  nlohmann::ordered_json context = {{"messages", messages},
                                    {"add_generation_prompt", form.opens_answer},
                                    {"bos_token", special(vocabulary.bos)},
                                    {"eos_token", special(vocabulary.eos)}};
  if (!form.tools.is_null()) context["tools"] = form.tools;
  return parts_->vocabulary.chat_template->render(context);
}

std::vector<TokenId> Engine::encode_chat(const nlohmann::ordered_json& messages) const {
  return encode_rendered(render_chat(messages));
}

std::vector<TokenId> Engine::encode_rendered(const std::string& prompt) const {
  std::vector<TokenId> ids = tokenizer()->encode(prompt, {.add_special = true, .parse_special = true});
  // Templates that print BOS themselves would otherwise get it twice.
  const std::optional<TokenId> bos = tokenizer()->vocabulary().bos;
  if (bos && ids.size() > 1 && ids[0] == *bos && ids[1] == *bos) ids.erase(ids.begin());
  return ids;
}

Session Engine::new_session() const { return {std::make_unique<KvCache>(*parts_->kv_pages, parts_->n_ctx), {}}; }

std::int64_t Engine::max_batch() const { return parts_->transformer->max_tokens(); }

void Engine::forward(std::span<const Piece> pieces) {
  std::int64_t count = 0;
  for (const Piece& piece : pieces) count += static_cast<std::int64_t>(piece.ids.size());
  if (count == 0) fail(ErrorKind::usage, "there are no tokens to evaluate");
  if (count > max_batch()) fail(ErrorKind::usage, "{} tokens at once, at most {} are allowed", count, max_batch());
  std::vector<BatchToken> batch;
  for (const Piece& piece : pieces) {
    std::int64_t position = piece.session->cache->length();
    piece.session->cache->reserve(position + static_cast<std::int64_t>(piece.ids.size()));
    for (const TokenId id : piece.ids) batch.push_back({id, piece.session->cache.get(), position++});
  }
  parts_->transformer->forward(batch);
  for (const Piece& piece : pieces) {
    piece.session->ids.insert(piece.session->ids.end(), piece.ids.begin(), piece.ids.end());
    piece.session->cache->set_length(static_cast<std::int64_t>(piece.session->ids.size()));
  }
}

std::span<const float> Engine::read_logits(std::int64_t first, std::int64_t count) {
  return parts_->transformer->logits(first, count);
}

void Engine::each(std::int64_t count, const std::function<void(std::int64_t)>& body) {
  parts_->pool->split(count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) body(i);
  });
}

void Engine::fork(const Session& from, Session& to) const {
  const auto pages = static_cast<std::size_t>(ceil_div(from.cache->length(), kv_chunk_positions));
  to.cache->share(from.cache->pages().first(pages), from.cache->length());
  to.ids = from.ids;
}

LogitSet Engine::evaluate(Session& session, std::span<const TokenId> ids, const LogitQuery& query) {
  if (ids.empty()) fail(ErrorKind::usage, "there are no tokens to evaluate");
  const auto most = static_cast<std::size_t>(max_batch());
  for (; ids.size() > most; ids = ids.subspan(most)) {
    const Step part{&session, ids.first(most)};
    step({&part, 1}, {});
  }
  LogitSet found;
  const Step last{&session, ids, {&query, 1}};
  step({&last, 1}, [&](std::size_t, std::size_t, const LogitSet& logits) { found = logits; });
  return found;
}

void Engine::step(std::span<const Step> steps, const StepSink& sink) {
  if (steps.empty()) return;
  std::vector<Piece> pieces;
  for (const Step& step : steps) pieces.push_back({step.session, step.ids});
  forward(pieces);
  answer(steps, sink);
}

// The head takes rows that follow each other together.
void Engine::answer(std::span<const Step> steps, const StepSink& sink) {
  struct Place {
    std::size_t step, query;
  };
  std::vector<Place> asking;
  std::vector<LogitQuery> queries;
  std::int64_t first = 0, end = 0;
  const auto ask = [&] {
    if (asking.empty()) return;
    const std::vector<LogitSet> found = parts_->transformer->find_logits(first, queries);
    for (std::size_t i = 0; sink && i < found.size(); ++i) sink(asking[i].step, asking[i].query, found[i]);
    asking.clear(), queries.clear();
  };
  for (std::size_t i = 0; i < steps.size(); ++i) {
    end += static_cast<std::int64_t>(steps[i].ids.size());
    const auto count = static_cast<std::int64_t>(steps[i].queries.size());
    for (std::int64_t q = 0; q < count; ++q) {
      const std::int64_t row = end - count + q, held = static_cast<std::int64_t>(asking.size());
      if (held == Transformer::head_rows || row != first + held) ask();
      if (asking.empty()) first = row;
      asking.push_back({i, static_cast<std::size_t>(q)}), queries.push_back(steps[i].queries[static_cast<std::size_t>(q)]);
    }
  }
  ask();
}

void Engine::check_ids(std::span<const TokenId> ids, const std::string& what) const {
  if (ids.empty()) fail(ErrorKind::usage, "{} has no tokens", what);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= config().n_vocab) {
      fail(ErrorKind::usage, "token {} of {} is {}, allowed are 0 to {}", i, what, ids[i], config().n_vocab - 1);
    }
  }
  if (static_cast<std::int64_t>(ids.size()) > n_ctx()) {
    fail(ErrorKind::too_big, "{} has {} tokens, the context holds {}", what, ids.size(), n_ctx());
  }
}

void Engine::logits(std::span<const TokenId> ids, std::int64_t chunk, const LogitsSink& sink) {
  check_ids(ids);
  const auto step = static_cast<std::size_t>(chunk > 0 ? std::min(chunk, max_batch()) : max_batch());
  const auto n_vocab = static_cast<std::size_t>(config().n_vocab);
  Session session = new_session();
  for (std::size_t at = 0; at < ids.size(); at += step) {
    const auto part = ids.subspan(at, std::min(ids.size() - at, step));
    forward(std::array{Piece{&session, part}});
    const auto count = static_cast<std::int64_t>(part.size());
    for (std::int64_t row = 0; row < count; row += logit_rows) {
      const std::int64_t rows = std::min(logit_rows, count - row);
      const std::span<const float> values = read_logits(row, rows);
      for (std::int64_t r = 0; r < rows; ++r)
        sink(static_cast<std::int64_t>(at) + row + r, values.subspan(static_cast<std::size_t>(r) * n_vocab, n_vocab));
    }
  }
}

std::int64_t Engine::token_limit(const GenerateRequest& request) const {
  const std::int64_t room = n_ctx() - static_cast<std::int64_t>(request.prompt.size());
  return request.max_tokens < 0 ? room : std::min(request.max_tokens, room);
}

Generation Engine::generation(const GenerateRequest& request, std::uint64_t sequence) const {
  check_ids(request.prompt);
  if (request.drafts < drafts_auto || request.drafts > most_drafts)
    fail(ErrorKind::usage, "drafts is {}, allowed are {} (as many as pay) to {}", request.drafts, drafts_auto, most_drafts);
  if (request.scores < -1 || request.scores > config().n_vocab)
    fail(ErrorKind::usage, "scores is {}, allowed are -1 (none) to {}", request.scores, config().n_vocab);
  GenerationLimits limits{token_limit(request), request.stop, request.scores};
  if (!request.ignore_eos) limits.is_end = [this](TokenId id) { return is_end(id); };
  std::optional<Constraint> constraint;
  if (request.constraint) {
    if (!parts_->token_masks) fail(ErrorKind::usage, "{}: a constraint needs one", tokenizer_problem());
    constraint.emplace(parts_->token_masks->of(request.constraint), *tokenizer(), !request.ignore_eos);
  }
  std::vector<TokenId> dry_breakers;
  if (request.sampling.dry_multiplier != 0 && tokenizer() != nullptr)
    dry_breakers = parts_->dry_breakers.find(request.sampling.dry_sequence_breakers, *tokenizer(), config().n_vocab);
  return {request.prompt, request.sampling, std::move(limits),     config().n_vocab,
          tokenizer(),    sequence,         std::move(constraint), std::move(dry_breakers)};
}

// Brings the session to the prompt, all but what it shares with it already; nullopt when cancelled on the way. Scores of the
// prompt need the logits of all its positions.
std::optional<LogitSet> Engine::prefill(Session& session, const GenerateRequest& request, const LogitQuery& query,
                                        const GenerateCallbacks& callbacks, GenerateResult& result) {
  const bool scores = request.prompt_scores && request.scores >= 0;
  const auto same = std::mismatch(session.ids.begin(), session.ids.end(), request.prompt.begin(), request.prompt.end());
  auto shared = scores ? 0 : static_cast<std::size_t>(same.first - session.ids.begin());
  shared = std::min(shared, request.prompt.size() - 1);  // the last token's logits are needed
  session.ids.resize(shared);
  session.cache->set_length(static_cast<std::int64_t>(shared));
  result.timings.cached_tokens = static_cast<std::int64_t>(shared);
  result.timings.prompt_tokens = static_cast<std::int64_t>(request.prompt.size() - shared);
  std::span<const TokenId> rest = std::span(request.prompt).subspan(shared);
  const std::uint64_t total = rest.size();
  std::optional<LogitSet> logits;
  while (!logits) {
    if (request.cancel != nullptr && *request.cancel) return std::nullopt;
    const auto part = rest.first(std::min(static_cast<std::size_t>(max_batch()), rest.size()));
    rest = rest.subspan(part.size());
    std::vector<LogitQuery> queries(scores ? part.size() : 0);
    if (rest.empty()) queries.resize(std::max<std::size_t>(queries.size(), 1)), queries.back() = query;
    const Step next{&session, part, queries};
    step({&next, 1}, [&](std::size_t, std::size_t, const LogitSet& found) {
      const std::size_t scored = result.prompt_scores.size() + 1;
      if (scored == request.prompt.size() || !scores) {
        logits = found;
      } else {
        result.prompt_scores.push_back(score_token(found, request.prompt[scored], request.scores));
      }
    });
    if (callbacks.on_prefill) callbacks.on_prefill(total - rest.size(), total);
  }
  return logits;
}

std::unique_ptr<Speculation> Engine::speculate(Session& session, const GenerateRequest& request) {
  return std::make_unique<Speculation>(*parts_->transformer, session, request.drafts, request.draft_source, parts_->step_costs);
}

GenerateResult Engine::generate(Session& session, const GenerateRequest& request, const GenerateCallbacks& callbacks) {
  Generation generation = this->generation(request);
  GenerateResult result;
  const Stopwatch since_start;
  std::optional<LogitSet> logits = prefill(session, request, generation.query(), callbacks, result);
  result.timings.prompt_seconds = since_start.seconds();
  const std::unique_ptr<Speculation> speculation = speculate(session, request);
  const std::int64_t limit = token_limit(request);
  const Stopwatch since_prompt;
  while (!generation.finished()) {
    if (!logits || (request.cancel != nullptr && *request.cancel)) {
      generation.finish(FinishReason::cancelled, callbacks.on_text);
      break;
    }
    generation.put(*logits, callbacks.on_text);
    if (generation.drawn().size() == 1) result.timings.first_token_seconds = since_start.seconds();
    if (generation.finished()) break;
    logits = speculation->advance(generation, limit - static_cast<std::int64_t>(generation.drawn().size()));
  }
  result.text = generation.text(), result.stop_string = generation.stop_string(), result.finish_reason = generation.reason(),
  result.scores = generation.scores();
  result.ids.assign(generation.drawn().begin(), generation.drawn().end());
  result.timings.generated_tokens = static_cast<std::int64_t>(result.ids.size());
  result.timings.drafted_tokens = speculation->drafted(), result.timings.accepted_tokens = speculation->accepted();
  result.timings.generate_seconds = since_prompt.seconds();
  return result;
}

}  // namespace bitnet
