// Multiple-choice tasks: a line of a dataset's JSONL file as the texts whose likelihoods are compared.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/report.h"

namespace bitnet::cli {

struct EvalChoice {
  std::string context, answer;  // what is scored is " " + answer, behind the context
};

struct EvalItem {
  std::vector<EvalChoice> choices;  // at least two
  std::size_t gold;                 // the right one
};

// Prompts are those of lm-evaluation-harness 0.4.13.
struct EvalTask {
  const char* name;
  const char* layout;                  // the fields of a line, for --help
  bool normalised;                     // answers of different length: acc_norm and acc_bytes make sense
  EvalItem (*read)(const Json& line);  // throws Error{usage} naming the field
};

std::span<const EvalTask> eval_tasks();

// An item as an example in front of others: context, answer, blank line.
std::string example_text(const EvalItem& item);

// Bytes of white space at the end of `text`, as Python's rstrip() counts them.
std::size_t trailing_space(std::string_view text);

// HellaSwag's clean-up: marks of the WikiHow part go, double blanks become one.
std::string clean_hellaswag(std::string_view text);

// Python's str.capitalize(): the first character large, all others small.
std::string capitalise(std::string_view text);

}  // namespace bitnet::cli
