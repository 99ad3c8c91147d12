// Engine: a loaded model that turns token ids into token ids and text; what every face stands on.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "inference/generation.h"
#include "inference/grammar/grammar.h"
#include "inference/hidden_zeros.h"
#include "inference/logits.h"
#include "inference/sampler.h"
#include "inference/session.h"
#include "models/model_config.h"
#include "tokenizers/tokenizer.h"

namespace bitnet {

struct EngineOptions {
  int threads = 0;       // 0 = one per physical core this process may use
  std::string isa = {};  // kernel table by name; empty = BITNET_ISA, else the best this CPU has
  KvType kv = KvType::f16;
  std::int64_t n_ctx = 0;      // positions a session can hold; 0 = the model's own context length
  std::uint64_t kv_bytes = 0;  // memory of all sessions' keys and values together; 0 = no limit but the machine's
  std::int64_t chunk = 512;    // prompt tokens per forward pass; never changes a result
  bool generates = true;       // false saves what makes logits fast, where few are wanted
};

// Done and total in bytes (loading) or tokens (prefill). Called on the caller's thread.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

struct GenerateRequest {
  std::vector<TokenId> prompt;   // at least one id, each in [0, n_vocab)
  std::int64_t max_tokens = -1;  // -1 = until the context is full
  SamplingParams sampling;
  std::vector<std::string> stop;                   // non-empty strings; the text ends before the first one that appears
  bool ignore_eos = false;                         // an end token is like any other; under a constraint it is never drawn
  std::shared_ptr<const Grammar> constraint = {};  // the text belongs to it, or, when cut short, begins one that does
  std::int64_t scores = -1;    // alternatives to score beside each drawn token (0 = the token alone); -1 = no scores
  bool prompt_scores = false;  // with scores: of the prompt's tokens too
  const std::atomic<bool>* cancel = nullptr;  // looked at once per token; the result then holds what there is
  // How many tokens a step of Engine::generate may draft ahead: drafts_auto, 0 = none, or always so many where the source has
  // them; and the source. No result depends on either.
  std::int64_t drafts = drafts_auto;
  DraftSource draft_source = {};  // empty = PromptLookup in the prompt and what was generated
};

struct Timings {
  std::int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  std::int64_t drafted_tokens = 0, accepted_tokens = 0;  // computed ahead, and those of them that came true
  double prompt_seconds = 0, generate_seconds = 0, first_token_seconds = 0;
};

struct GenerateResult {
  std::string text;          // valid UTF-8; empty without a tokenizer
  std::vector<TokenId> ids;  // as sampled, an end-of-generation token included
  FinishReason finish_reason = FinishReason::length;
  Timings timings;
  std::vector<TokenScore> scores;         // of ids
  std::vector<TokenScore> prompt_scores;  // of the prompt's tokens but the first
  std::string stop_string = {};           // that ended it; empty when something else did
};

struct GenerateCallbacks {
  PieceSink on_text;
  Progress on_prefill;
};

// What a chat template gets beside the messages.
struct ChatForm {
  nlohmann::ordered_json tools = nullptr;  // functions that the answer may call, as OpenAI's API writes them; null = none
  bool opens_answer = true;                // the prompt ends with the beginning of the assistant's turn
};

struct EmbedOptions {
  Pooling pooling = Pooling::none;            // none: as the file asks, the last token's where it does not
  bool normalise = true;                      // to length 1
  const std::atomic<bool>* cancel = nullptr;  // looked at once per forward pass; then no more vectors come
};

class Speculation;
class Transformer;
class ThreadPool;
class GgufFile;

// Loads once, then is immutable but for its thread pool: one call at a time per engine.
class Engine {
 public:
  // Throws Error: not_found, bad_model, too_big, unsupported, unsupported_cpu.
  static std::unique_ptr<Engine> open(const std::string& path, const EngineOptions& options, const Progress& progress = {});
  ~Engine();

  const ModelConfig& config() const;
  std::int64_t n_ctx() const;
  const Tokenizer* tokenizer() const;                  // null when the file has none
  const std::string& tokenizer_problem() const;        // why it has none; empty when it has one
  bool is_end(TokenId id) const;                       // EOS, EOT and the like: generation stops there
  const SamplingParams& recommended_sampling() const;  // the sampler's defaults where the files recommend nothing
  const char* isa() const;
  int threads() const;
  void set_threads(int threads);
  std::uint64_t weight_bytes() const;                       // resident weights
  std::uint64_t bytes_per_token(std::int64_t depth) const;  // read by one decode step at that depth that skips nothing
  SparseLimits sparse_limits() const;                       // measured when it was opened, or got its threads
  HiddenZeros hidden_zeros() const;                         // since it was opened, or got its threads
  std::uint64_t kv_bytes_per_token() const;
  KvPages& kv_pages();  // from which all sessions take; outlives none of them

  // Messages as [{"role": ..., "content": ...}, ...] to prompt ids by the model's turn format. Throws Error{unsupported} when
  // the file has no template (has_chat_template() is false), Error{usage} when the template refuses the messages.
  bool has_chat_template() const;
  std::string render_chat(const nlohmann::ordered_json& messages, const ChatForm& form = {}) const;
  std::vector<TokenId> encode_chat(const nlohmann::ordered_json& messages) const;
  std::vector<TokenId> encode_rendered(const std::string& prompt) const;  // what render_chat gave

  Session new_session() const;

  // Makes session.ids equal `request.prompt` (reusing their common prefix) and generates behind it. Results do not depend on
  // the reuse, on drafts, threads, chunk or instruction set. Throws Error{usage} for a bad request, Error{too_big} for a prompt
  // over n_ctx. The callbacks must not call the engine.
  GenerateResult generate(Session& session, const GenerateRequest& request, const GenerateCallbacks& callbacks = {});

  // Appends `ids` to the session; returns the last position's logits, all or what `query` asks for, valid until the next call.
  LogitSet evaluate(Session& session, std::span<const TokenId> ids, const LogitQuery& query = {});

  // Appends ids to each of several sessions, which share every reading of the weights; no session twice, and at most
  // max_batch() ids together. The sink gets what each query of a step asks for behind one of its last ids, in order, valid
  // during its call; they are those of evaluate(). Throws Error{usage} for too many ids, Error{too_big} for a full session or
  // without memory; then no session has changed.
  struct Step {
    Session* session;
    std::span<const TokenId> ids;              // at least one
    std::span<const LogitQuery> queries = {};  // the last one is for the last id, and so on backwards; at most ids.size()
  };
  using StepSink = std::function<void(std::size_t step, std::size_t query, const LogitSet& logits)>;
  void step(std::span<const Step> steps, const StepSink& sink);
  std::int64_t max_batch() const;

  // The state of a request that somebody else brings the logits for, and how many tokens it may draw. Safe from any thread
  // while the engine computes. Throws what generate() throws for a bad request.
  Generation generation(const GenerateRequest& request, std::uint64_t sequence = 0) const;
  std::int64_t token_limit(const GenerateRequest& request) const;

  // Steps of one session that compute drafts ahead, as generate() takes them: for whoever draws the tokens. Session and request
  // must outlive it. See speculation.h.
  std::unique_ptr<Speculation> speculate(Session& session, const GenerateRequest& request);

  // One forward pass of several pieces of text, each behind what its session holds; they share every reading of the weights.
  // No session twice, no piece empty, together at most max_batch() ids, each in [0, n_vocab). Throws Error{usage} for too many
  // ids, Error{too_big} for a full session; then no session has changed.
  struct Piece {
    Session* session;
    std::span<const TokenId> ids;
  };
  void forward(std::span<const Piece> pieces);

  // Logits (count, n_vocab) of rows [first, first + count) of the last forward(), whose rows are its ids in order; at most
  // logit_rows at a time, the full head, unquantised; valid until the engine's next call.
  static constexpr std::int64_t logit_rows = 8;
  std::span<const float> read_logits(std::int64_t first, std::int64_t count);

  // Calls body(i) once for every i < count, on the engine's threads; rethrows the first exception.
  void each(std::int64_t count, const std::function<void(std::int64_t i)>& body);

  // Makes `to`, a session of this engine, hold the ids of `from` and share its pages; nothing is copied before one of them goes
  // on.
  void fork(const Session& from, Session& to) const;

  // Writes what the session holds to a file, which is there whole or not at all; gives back a session that goes on with the
  // same bits as the one that was saved, whatever threads, chunk and instruction set either engine has. Throws Error: io; for a
  // file that is damaged, cut or none bad_model; of another model or KV type usage; over n_ctx or without memory too_big; then
  // nothing has changed.
  void save(const Session& session, const std::string& path);
  Session restore(const std::string& path);

  // Tells the loaded weights from all others: the file's sha256, or that of all files' and, of a folder, its config.json's.
  // Reads them when it is first called. Throws Error{io} when one was changed since it was opened.
  const std::string& model_hash();

  // Logits of every position of `ids` in order, `chunk` positions per forward pass; the full head, unquantised.
  using LogitsSink = std::function<void(std::int64_t position, std::span<const float> logits)>;
  void logits(std::span<const TokenId> ids, std::int64_t chunk, const LogitsSink& sink);

  // A vector (n_embd) for each text, in order: its last hidden states behind the final norm, pooled. Texts share forward
  // passes, which changes no bit. Throws Error{usage} for a text without tokens or with an id outside the vocabulary,
  // Error{too_big} for one over n_ctx; before any vector is handed out.
  using EmbeddingSink = std::function<void(std::size_t text, std::span<const float> vector)>;
  void embed(std::span<const std::vector<TokenId>> texts, const EmbedOptions& options, const EmbeddingSink& sink);

 private:
  struct Parts;
  explicit Engine(std::unique_ptr<Parts> parts);
  std::uint64_t kv_bytes_at(std::int64_t depth) const;
  void check_ids(std::span<const TokenId> ids, const std::string& what = "the prompt") const;
  void answer(std::span<const Step> steps, const StepSink& sink);
  std::optional<LogitSet> prefill(Session& session, const GenerateRequest& request, const LogitQuery& query,
                                  const GenerateCallbacks& callbacks, GenerateResult& result);
  std::unique_ptr<Parts> parts_;
};

// The tokenizer of a GGUF file, vocabulary-only files included. Throws Error{bad_model}; null when it has no tokenizer keys.
std::unique_ptr<const Tokenizer> tokenizer_from_gguf(const GgufFile& file);

// Bytes per second that `threads` threads read from memory far larger than the caches, best of a few passes; takes about
// 0.3 seconds and 512 MiB.
double measure_read_bandwidth(ThreadPool& pool);
double measure_read_bandwidth(int threads);

}  // namespace bitnet
