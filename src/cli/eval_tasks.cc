// The tasks one by one: their fields, prompts and right answers.
#include "cli/eval_tasks.h"

#include <algorithm>
#include <array>

#include "cli/options.h"
#include "common/error.h"
#include "common/utf8.h"
#include "tokenizers/unicode.h"

namespace bitnet::cli {
namespace {

const Json& field(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) fail(ErrorKind::usage, "field '{}' is missing", name);
  return *found;
}

std::string text_of(const Json& value, std::string_view name) {
  if (!value.is_string()) fail(ErrorKind::usage, "field '{}' is {}, not text", name, value.type_name());
  return value.get<std::string>();
}

std::string text(const Json& object, const char* name) { return text_of(field(object, name), name); }

std::vector<std::string> texts(const Json& object, const char* name) {
  const Json& value = field(object, name);
  if (!value.is_array()) fail(ErrorKind::usage, "field '{}' is {}, not a list", name, value.type_name());
  std::vector<std::string> all;
  for (const Json& entry : value) all.push_back(text_of(entry, fmt::format("{}[{}]", name, all.size())));
  return all;
}

// A label that is a number, or one written as text.
std::size_t label(const Json& object, const char* name, std::size_t first, std::size_t count) {
  const Json& value = field(object, name);
  std::optional<std::int64_t> number;
  if (value.is_number_integer()) number = value.get<std::int64_t>();
  if (value.is_string()) number = parse_integer(value.get_ref<const std::string&>());
  const auto last = static_cast<std::int64_t>(first + count) - 1;
  if (!number || *number < static_cast<std::int64_t>(first) || *number > last) {
    fail(ErrorKind::usage, "field '{}' is {}, allowed are {} to {}", name, printable(json_text(value, -1, true), 48), first,
         last);
  }
  return static_cast<std::size_t>(*number) - first;
}

EvalItem one_context(const std::string& context, const std::vector<std::string>& answers, std::size_t gold) {
  if (answers.size() < 2) fail(ErrorKind::usage, "there are {} answers, at least 2 are needed", answers.size());
  EvalItem item{{}, gold};
  for (const std::string& answer : answers) {
    if (answer.empty()) fail(ErrorKind::usage, "answer {} is empty", item.choices.size() + 1);
    item.choices.push_back({context, answer});
  }
  return item;
}

// Questions with lettered answers, in AI2's own layout {"question": {"stem", "choices": [{"text", "label"}]}} or that of the
// HuggingFace hub {STEM: ..., "choices": {"text": [], "label": []}}.
struct LetteredQuestion {
  std::string stem;
  std::vector<std::string> answers;
  std::size_t gold;
};

LetteredQuestion lettered(const Json& line, const char* stem_field) {
  LetteredQuestion q;
  std::vector<std::string> labels;
  const auto nested = line.find("question");
  if (nested != line.end() && nested->is_object()) {
    q.stem = text(*nested, "stem");
    const Json& choices = field(*nested, "choices");
    if (!choices.is_array()) fail(ErrorKind::usage, "field 'choices' is {}, not a list", choices.type_name());
    for (const Json& choice : choices) {
      if (!choice.is_object()) fail(ErrorKind::usage, "field 'choices' has an entry that is {}", choice.type_name());
      q.answers.push_back(text(choice, "text")), labels.push_back(text(choice, "label"));
    }
  } else {
    q.stem = text(line, stem_field);
    const Json& choices = field(line, "choices");
    if (!choices.is_object()) fail(ErrorKind::usage, "field 'choices' is {}, not an object", choices.type_name());
    q.answers = texts(choices, "text"), labels = texts(choices, "label");
  }
  if (labels.size() != q.answers.size()) {
    fail(ErrorKind::usage, "field 'choices' has {} texts and {} labels", q.answers.size(), labels.size());
  }
  std::string key = text(line, "answerKey");
  key.erase(0, key.find_first_not_of(" \t\r\n"));
  const auto found = std::find(labels.begin(), labels.end(), key);
  if (found == labels.end()) fail(ErrorKind::usage, "field 'answerKey' is '{}', which is no label", printable(key, 48));
  q.gold = static_cast<std::size_t>(found - labels.begin());
  return q;
}

EvalItem read_arc(const Json& line) {
  const LetteredQuestion q = lettered(line, "question");
  return one_context(fmt::format("Question: {}\nAnswer:", q.stem), q.answers, q.gold);
}

EvalItem read_openbookqa(const Json& line) {
  const LetteredQuestion q = lettered(line, "question_stem");
  return one_context(q.stem, q.answers, q.gold);
}

EvalItem read_hellaswag(const Json& line) {
  const std::string beginning = text(line, "ctx_a") + " " + capitalise(text(line, "ctx_b"));
  std::vector<std::string> endings = texts(line, "endings");
  for (std::string& ending : endings) ending = clean_hellaswag(ending);
  const std::string context = clean_hellaswag(text(line, "activity_label") + ": " + beginning);
  return one_context(context, endings, label(line, "label", 0, endings.size()));
}

EvalItem read_piqa(const Json& line) {
  const std::string context = fmt::format("Question: {}\nAnswer:", text(line, "goal"));
  return one_context(context, {text(line, "sol1"), text(line, "sol2")}, label(line, "label", 0, 2));
}

EvalItem read_boolq(const Json& line) {
  const std::string context = fmt::format("{}\nQuestion: {}?\nAnswer:", text(line, "passage"), text(line, "question"));
  const char* name = line.contains("answer") ? "answer" : "label";
  const Json& answer = field(line, name);
  const std::size_t gold = answer.is_boolean() ? (answer.get<bool>() ? 1 : 0) : label(line, name, 0, 2);
  return one_context(context, {"no", "yes"}, gold);
}

// Partial evaluation (Trinh and Le 2018): either option fills the gap, and what stands behind it is scored.
EvalItem read_winogrande(const Json& line) {
  const std::string sentence = text(line, "sentence");
  const std::size_t gap = sentence.find('_');
  if (gap == std::string::npos) fail(ErrorKind::usage, "field 'sentence' has no gap, which is written _");
  std::string rest = sentence.substr(gap + 1);
  rest.resize(rest.size() - trailing_space(rest));
  while (!rest.empty()) {  // lstrip()
    const std::size_t size = utf8_decode(rest).size;
    if (trailing_space(std::string_view(rest).substr(0, size)) != size) break;
    rest.erase(0, size);
  }
  if (rest.empty()) fail(ErrorKind::usage, "field 'sentence' ends with its gap: nothing is left to score");
  EvalItem item{{}, label(line, "answer", 1, 2)};
  for (const char* option : {"option1", "option2"})
    item.choices.push_back({sentence.substr(0, gap) + text(line, option), rest});
  return item;
}

constexpr const char* arc_layout =
    R"({"question", "choices": {"text": [], "label": []}, "answerKey"} or {"question": {"stem", "choices": [{"text", "label"}]}, "answerKey"})";

constexpr std::array<EvalTask, 7> tasks = {{
    {"arc_easy", arc_layout, true, read_arc},
    {"arc_challenge", arc_layout, true, read_arc},
    {"hellaswag", R"({"activity_label", "ctx_a", "ctx_b", "endings": [], "label": 0 to 3})", true, read_hellaswag},
    {"winogrande", R"({"sentence" with _, "option1", "option2", "answer": "1" or "2"})", false, read_winogrande},
    {"piqa", R"({"goal", "sol1", "sol2", "label": 0 or 1})", true, read_piqa},
    {"boolq", R"({"passage", "question", "answer": false or true, or "label"})", false, read_boolq},
    {"openbookqa", R"(as arc's, with "question_stem" in place of "question")", true, read_openbookqa},
}};

bool is_python_space(char32_t code) { return unicode::is_white_space(code) || (code >= 0x1c && code <= 0x1f); }

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t found; (found = text.find(from, at)) != std::string::npos; at = found + from.size())
    out.append(text, at, found - at).append(to);
  text = out.append(text, at);
}

}  // namespace

std::span<const EvalTask> eval_tasks() { return tasks; }

std::string example_text(const EvalItem& item) {
  const EvalChoice& right = item.choices[item.gold];
  return right.context + " " + right.answer + "\n\n";
}

std::size_t trailing_space(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t start = end - 1;
    while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80) --start;
    if (!is_python_space(utf8_decode(text.substr(start, end - start)).code)) break;
    end = start;
  }
  return text.size() - end;
}

std::string clean_hellaswag(std::string_view raw) {
  raw.remove_suffix(trailing_space(raw));
  while (!raw.empty() && is_python_space(utf8_decode(raw).code)) raw.remove_prefix(utf8_decode(raw).size);
  std::string text(raw);
  replace_all(text, " [title]", ". ");
  std::string kept;
  std::size_t at = 0;
  while (at < text.size()) {  // without what stands in square brackets on one line
    const std::size_t end = text[at] == '[' ? text.find_first_of("]\n", at) : std::string::npos;
    if (end != std::string::npos && text[end] == ']') {
      at = end + 1;
    } else {
      kept += text[at++];
    }
  }
  replace_all(kept, "  ", " ");
  return kept;
}

std::string capitalise(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Char c = utf8_decode(text);
    if (!out.empty()) {
      unicode::append_lower(out, c.code);
    } else if (c.code < 0x80) {
      out += static_cast<char>(c.code >= 'a' && c.code <= 'z' ? c.code - 'a' + 'A' : c.code);
    } else {
      // The tables know small letters of large ones: looked up backwards.
      const std::string small(text.substr(0, c.size));
      out = small;
      std::string lower;
      for (char32_t code = 0xc0; code < 0x1ea00 && out == small; ++code) {
        lower.clear();
        unicode::append_lower(lower, code);
        if (code != c.code && lower == small) out.clear(), utf8_append(out, code);
      }
    }
    text.remove_prefix(c.size);
  }
  return out;
}

}  // namespace bitnet::cli
