// Chat: the state of one conversation with a model, shared by `bitnet chat` and its /commands.
#pragma once

#include <optional>
#include <string>

#include "cli/conversation.h"
#include "cli/options.h"

namespace bitnet::cli {

struct Chat {
  Engine& engine;
  Session session;
  Conversation conversation = {};
  SamplingOptions options = {};
  SamplingParams sampling = {};      // of the next answer, but for the seed
  std::uint64_t answers = 0;         // added to the seed, so that a retry may differ
  std::optional<Timings> last = {};  // of the last answer
  bool show_stats = false;
};

// Answers the conversation, which must end with a user's message: prints the text as it comes and appends it. Ctrl-C ends the
// answer, what there is of it stays. When it throws Error, or is stopped before any text, the user's message is taken back.
FinishReason answer(Chat& chat);

// Token ids of the conversation as the model will see it.
std::vector<TokenId> prompt_of(const Chat& chat);

enum class Next { go_on, leave };

// Carries out a line that begins with '/'. Throws Error for what fails; an unknown command only gets a hint.
Next run_chat_command(Chat& chat, const std::string& line);

}  // namespace bitnet::cli
