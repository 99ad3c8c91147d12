// Keeps a chat's messages and reads and writes their files.
#include "cli/conversation.h"

#include "cli/terminal.h"
#include "common/error.h"
#include "common/output_file.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t max_file_bytes = 16u << 20;

bool has_role(const Json& message, const char* role) { return message["role"] == role; }

void write_file(const std::string& path, const std::string& text) {
  OutputFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace

std::int64_t Conversation::exchanges() const {
  std::int64_t count = 0;
  for (const Json& message : messages_) count += has_role(message, "user");
  return count;
}

std::string Conversation::system() const {
  return !messages_.empty() && has_role(messages_.front(), "system") ? messages_.front()["content"].get<std::string>()
                                                                     : std::string();
}

void Conversation::set_system(const std::string& text) {
  if (!messages_.empty() && has_role(messages_.front(), "system")) messages_.erase(messages_.begin());
  if (!text.empty()) messages_.insert(messages_.begin(), Json{{"role", "system"}, {"content", with_valid_utf8(text)}});
}

void Conversation::add(const char* role, const std::string& text) {
  messages_.push_back({{"role", role}, {"content", with_valid_utf8(text)}});
}

void Conversation::clear() {
  const std::string kept = system();
  messages_ = Json::array();
  set_system(kept);
}

std::optional<std::string> Conversation::undo() {
  if (empty()) return std::nullopt;
  while (!has_role(messages_.back(), "user")) messages_.erase(messages_.end() - 1);
  const std::string text = messages_.back()["content"];
  messages_.erase(messages_.end() - 1);
  return text;
}

void Conversation::save(const std::string& path) const { write_file(path, json_text({{"messages", messages_}}, 2) + "\n"); }

Conversation Conversation::load(const std::string& path) {
  const std::string name = printable(path, 512);
  const Json file = Json::parse(read_text_file(path, max_file_bytes), nullptr, false);
  if (!file.is_object() || !file.contains("messages") || !file["messages"].is_array()) {
    fail(ErrorKind::usage, "{}: not a JSON object with an array 'messages'", name);
  }
  Conversation conversation;
  for (const Json& message : file["messages"]) {
    const std::size_t index = conversation.messages_.size();
    for (const char* field : {"role", "content"}) {
      if (!message.is_object() || !message.contains(field) || !message[field].is_string()) {
        fail(ErrorKind::usage, "{}: messages[{}] has no string '{}'", name, index, field);
      }
    }
    const bool known =
        has_role(message, "user") || has_role(message, "assistant") || (has_role(message, "system") && index == 0);
    if (!known) {
      fail(ErrorKind::usage, "{}: messages[{}] has role '{}', allowed are user, assistant and, first, system", name, index,
           printable(message["role"].get<std::string>()));
    }
    conversation.messages_.push_back({{"role", message["role"]}, {"content", message["content"]}});
  }
  return conversation;
}

void Conversation::save_markdown(const std::string& path) const {
  std::string text;
  for (const Json& message : messages_) {
    text += fmt::format("**{}:**\n\n{}\n\n", message["role"].get<std::string>(), message["content"].get<std::string>());
  }
  write_file(path, text);
}

}  // namespace bitnet::cli
