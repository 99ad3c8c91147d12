// Edits lines with libedit, or reads them plainly.
#include "cli/line_editor.h"

#include <histedit.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "common/utf8.h"

namespace bitnet::cli {
namespace {

constexpr int history_lines = 1000;

// libedit speaks the locale's encoding; a "C" locale would break every character beyond ASCII.
void use_utf8_locale() {
  if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX < 4) std::setlocale(LC_CTYPE, "C.UTF-8");
}

// One byte; 0 at the end of input and when Ctrl-C came.
ssize_t read_byte(char& byte) {
  while (true) {
    if (interrupted()) return 0;
    const ssize_t count = ::read(STDIN_FILENO, &byte, 1);
    if (count >= 0 || errno != EINTR) return count;  // EINTR also comes from a resized window
  }
}

}  // namespace

struct LineEditor::Editing {
  EditLine* editor = nullptr;
  History* history = nullptr;
  std::string history_file, prompt;
  int typed_ahead = 0;  // bytes that were typed while the terminal was not in editing mode

  explicit Editing(const std::string& file) : history_file(file) {
    use_utf8_locale();
    editor = el_init("bitnet", stdin, isatty(STDOUT_FILENO) ? stdout : stderr, stderr);
    history = history_init();
    HistEvent event;
    ::history(history, &event, H_SETSIZE, history_lines);
    ::history(history, &event, H_SETUNIQUE, 1);
    if (!history_file.empty()) ::history(history, &event, H_LOAD, history_file.c_str());
    el_set(editor, EL_CLIENTDATA, this);
    el_set(editor, EL_PROMPT_ESC, prompt_of, '\001');  // between two of these stands what takes no room
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_SIGNAL, 0);
    el_set(editor, EL_HIST, ::history, history);
    el_set(editor, EL_GETCFN, read_character);
    el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_set(editor, EL_BIND, "\\e[1;5C", "em-next-word", nullptr);
    el_set(editor, EL_BIND, "\\e[1;5D", "ed-prev-word", nullptr);
  }
  ~Editing() {
    history_end(history);
    el_end(editor);
  }

  // The editing mode comes before the prompt, so that whoever waits for the prompt types into it.
  const char* read_line(int& count) {
    el_set(editor, EL_PREP_TERM, 1);
    if (ioctl(STDIN_FILENO, FIONREAD, &typed_ahead) != 0) typed_ahead = 0;
    return el_gets(editor, &count);
  }

  static Editing& of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return *static_cast<Editing*>(self);
  }
  static const char* prompt_of(EditLine* editor) { return of(editor).prompt.c_str(); }

  // For libedit: one character, 1 on success, -1 at the end. Outside the editing mode the kernel stores Ctrl-D as a zero byte.
  static int read_character(EditLine* editor, wchar_t* character) {
    std::string bytes;
    while (true) {
      char byte = 0;
      if (read_byte(byte) <= 0) return -1;
      if (of(editor).typed_ahead > 0) {
        --of(editor).typed_ahead;
        if (byte == '\0') byte = '\x04';
      }
      bytes += byte;
      const Utf8Char c = utf8_decode(bytes);
      if (c.truncated) continue;
      *character = static_cast<wchar_t>(c.code);
      return 1;
    }
  }

  Editing(const Editing&) = delete;
  Editing& operator=(const Editing&) = delete;
};

LineEditor::LineEditor(const std::string& history_file) {
  if (is_terminal(STDIN_FILENO) && (is_terminal(STDOUT_FILENO) || is_terminal(STDERR_FILENO))) {
    editing_ = std::make_unique<Editing>(history_file);
  }
}

LineEditor::~LineEditor() = default;

bool LineEditor::interactive() const { return editing_ != nullptr; }

InputLine LineEditor::read(const std::string& prompt) {
  InputLine line;
  if (editing_) {
    editing_->prompt = prompt;
    int count = 0;
    const char* text = editing_->read_line(count);
    if (interrupted()) return {LineEnd::interrupted, ""};
    if (text == nullptr || count <= 0) return {LineEnd::end_of_input, ""};
    line.text = text;
  } else {
    char byte = 0;
    while (line.text.empty() || line.text.back() != '\n') {
      if (read_byte(byte) <= 0) break;
      line.text += byte;
    }
    if (interrupted()) return {LineEnd::interrupted, ""};
    if (line.text.empty()) return {LineEnd::end_of_input, ""};
  }
  if (line.text.ends_with('\n')) line.text.pop_back();
  return line;
}

void LineEditor::remember(const std::string& line) {
  if (!editing_ || line.empty()) return;
  HistEvent event;
  ::history(editing_->history, &event, H_ENTER, line.c_str());
  if (editing_->history_file.empty()) return;
  const mode_t mask = umask(0077);  // what somebody asks a model is nobody else's business
  ::history(editing_->history, &event, H_SAVE, editing_->history_file.c_str());
  umask(mask);
}

std::string history_path() {
  const char* off = std::getenv("BITNET_NOHISTORY");
  if (off != nullptr && *off != '\0' && std::string_view(off) != "0") return "";
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::string folder;
  if (state != nullptr && *state == '/') {
    folder = state;
  } else if (home != nullptr && *home == '/') {
    folder = std::string(home) + "/.local/state";
  } else {
    return "";
  }
  std::error_code error;
  std::filesystem::create_directories(folder + "/bitnet", error);
  return error ? "" : folder + "/bitnet/history";
}

}  // namespace bitnet::cli
