// LineEditor: one line of input, edited by a person at a terminal or read from a pipe.
#pragma once

#include <memory>
#include <string>

namespace bitnet::cli {

enum class LineEnd { line, end_of_input, interrupted };

struct InputLine {
  LineEnd end = LineEnd::line;
  std::string text;  // without its line break
};

// At a terminal (standard input, and standard output or error): editing keys, history with the arrow keys. Otherwise plain
// lines and no prompt. Wants an InterruptGuard around it, so that Ctrl-C ends the line and not the program. One at a time.
class LineEditor {
 public:
  // `history_file` keeps lines between programs; empty = none. An unreadable one is ignored.
  explicit LineEditor(const std::string& history_file);
  ~LineEditor();

  bool interactive() const;
  InputLine read(const std::string& prompt);
  void remember(const std::string& line);  // adds to the history, also of the file

 private:
  struct Editing;
  std::unique_ptr<Editing> editing_;  // null for plain lines
};

// $XDG_STATE_HOME/bitnet/history or ~/.local/state/bitnet/history, its folder made; empty when BITNET_NOHISTORY is set or there
// is no home.
std::string history_path();

}  // namespace bitnet::cli
