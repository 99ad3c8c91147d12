// Draws progress bars, or writes them as JSON lines.
#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "cli/report.h"
#include "cli/terminal.h"

namespace bitnet::cli {
namespace {

constexpr auto quick = std::chrono::milliseconds(300);
constexpr auto redraw = std::chrono::milliseconds(100), json_pause = std::chrono::milliseconds(500);
constexpr std::size_t least_bar = 5, most_bar = 30;  // columns; a narrower bar is left out

ProgressForm chosen_form = ProgressForm::bar;

std::size_t terminal_columns() {
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// Characters of `text`; each is taken to fill one column.
std::size_t columns(std::string_view text) {
  return text.size() - static_cast<std::size_t>(std::count_if(text.begin(), text.end(), continues_character));
}

std::string_view cut(std::string_view text, std::size_t limit) {
  std::size_t end = 0, seen = 0;
  while (end < text.size() && seen + !continues_character(text[end]) <= limit) seen += !continues_character(text[end++]);
  return text.substr(0, end);
}

std::string duration_text(double seconds) {
  const auto s = static_cast<std::int64_t>(std::min(seconds, 3.6e8) + 0.5);
  return s < 3600 ? fmt::format("{}:{:02d}", s / 60, s % 60) : fmt::format("{}:{:02d}:{:02d}", s / 3600, s / 60 % 60, s % 60);
}

std::string amount_text(double amount, const std::string& unit) {
  return unit == "bytes" ? byte_text(amount) : fmt::format("{:.{}f} {}", amount, amount > 0 && amount < 10 ? 1 : 0, unit);
}

std::string share_bar(double share, std::size_t width) {
  const auto full = static_cast<std::size_t>(share * static_cast<double>(width));
  return fmt::format(" [{:<{}}]", std::string(full, '#'), width);
}

}  // namespace

void add_progress_flag(CLI::App& command) {
  static const std::map<std::string, ProgressForm> forms = {
      {"bar", ProgressForm::bar}, {"json", ProgressForm::json}, {"none", ProgressForm::none}};
  command
      .add_option_function<std::string>(
          "--progress", [](const std::string& name) { chosen_form = forms.at(name); },
          "on standard error: bar (at a terminal only), json (a line at a time) or none")
      ->type_name("FORM")
      ->check(CLI::IsMember({"bar", "json", "none"}))
      ->default_str("bar");
}

ProgressBar::ProgressBar(std::string label, std::string unit)
    : label_(std::move(label)), unit_(std::move(unit)), form_(chosen_form) {
  if (form_ == ProgressForm::bar && !is_terminal(STDERR_FILENO)) form_ = ProgressForm::none;
}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::update(std::uint64_t done, std::uint64_t total, std::string_view note) {
  if (form_ == ProgressForm::none) return;
  const auto now = Clock::now();
  const bool first = !started_;
  if (first) start_ = now, first_ = done, started_ = true;
  state_ = {done, total, std::string(note)};
  pending_ = true;
  const bool last = total > 0 && done >= total;
  if (form_ == ProgressForm::json) {
    if (first || last || now - shown_ >= json_pause) write_json();
  } else if (now - start_ >= quick && (last || now - shown_ >= redraw)) {
    draw();
  }
}

void ProgressBar::clear() {
  if (form_ == ProgressForm::json && pending_) write_json();
  if (drawn_ > 0) print_aside(fmt::format("\r{:{}}\r", "", drawn_));
  drawn_ = 0;
}

double ProgressBar::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

double ProgressBar::rate() const {
  const double elapsed = seconds();
  return state_.done > first_ && elapsed > 0 ? static_cast<double>(state_.done - first_) / elapsed : 0;
}

double ProgressBar::eta() const {
  const double speed = rate();
  if (state_.total == 0 || speed <= 0) return -1;
  return static_cast<double>(state_.total - std::min(state_.done, state_.total)) / speed;
}

// The bar itself takes what room the words leave.
std::string ProgressBar::line(std::size_t room) const {
  const auto done = static_cast<double>(state_.done), total = static_cast<double>(state_.total);
  const double share = state_.total == 0 ? 0 : std::min(1.0, done / total);
  std::string text = state_.total == 0 ? "" : fmt::format(" {:3d} %", static_cast<int>(share * 100));
  if (!unit_.empty()) {
    text += state_.total == 0  ? "  " + amount_text(done, unit_)
            : unit_ == "bytes" ? fmt::format("  {} of {}", byte_text(done), byte_text(total))
                               : fmt::format("  {} of {} {}", state_.done, state_.total, unit_);
    if (rate() > 0) text += fmt::format("  {}/s", amount_text(rate(), unit_));
  }
  if (eta() >= 0) text += "  ETA " + duration_text(eta());
  if (!state_.note.empty()) text += "  " + state_.note;
  const std::size_t used = columns(label_) + columns(text) + 3;
  if (state_.total == 0 || used + least_bar > room) return label_ + text;
  return label_ + share_bar(share, std::min(most_bar, room - used)) + text;
}

void ProgressBar::draw() {
  const std::size_t room = terminal_columns() - 1;  // a line that wraps could not be drawn over
  const std::string whole = line(room);
  const std::string_view text = cut(whole, room);
  const std::size_t width = columns(text);
  print_aside(fmt::format("\r{}{:{}}", text, "", drawn_ > width ? drawn_ - width : 0));
  drawn_ = std::max(drawn_, width);
  shown_ = Clock::now(), pending_ = false;
}

void ProgressBar::write_json() {
  Json line = {{"progress", label_}, {"unit", unit_}, {"done", state_.done}};
  line["total"] = state_.total == 0 ? Json(nullptr) : Json(state_.total);
  line["elapsed_seconds"] = seconds();
  line["rate"] = rate() > 0 ? Json(rate()) : Json(nullptr);
  line["eta_seconds"] = eta() >= 0 ? Json(eta()) : Json(nullptr);
  if (!state_.note.empty()) line["note"] = state_.note;
  print_aside(json_text(line, -1, true) + "\n");
  shown_ = Clock::now(), pending_ = false;
}

}  // namespace bitnet::cli
