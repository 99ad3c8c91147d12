// Conversation: the messages of a chat, and their files.
#pragma once

#include <optional>
#include <string>

#include "cli/report.h"

namespace bitnet::cli {

// Messages alternate user and assistant behind an optional system message. All text is valid UTF-8. Not thread safe.
class Conversation {
 public:
  const Json& messages() const { return messages_; }  // [{"role": ..., "content": ...}, ...] as chat templates want them
  bool empty() const { return exchanges() == 0; }
  std::int64_t exchanges() const;  // messages of the user

  std::string system() const;                // empty without a system message
  void set_system(const std::string& text);  // empty removes it
  void add_user(const std::string& text) { add("user", text); }
  void add_assistant(const std::string& text) { add("assistant", text); }

  void clear();                       // all but the system message
  std::optional<std::string> undo();  // drops the last user message and what follows it; nullopt without one

  // {"messages": [...]}. load() throws Error{usage} naming what is wrong, Error{not_found} and Error{io}.
  void save(const std::string& path) const;
  static Conversation load(const std::string& path);
  void save_markdown(const std::string& path) const;

 private:
  void add(const char* role, const std::string& text);

  Json messages_ = Json::array();
};

}  // namespace bitnet::cli
