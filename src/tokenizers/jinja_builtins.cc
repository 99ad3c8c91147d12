// How arguments find their parameters.
#include "tokenizers/jinja_builtins.h"

#include <algorithm>

#include "tokenizers/jinja_format.h"

namespace bitnet::jinja {

Parameters::Parameters(std::string_view function, const CallArguments& arguments, std::initializer_list<std::string_view> names)
    : function_(function) {
  std::copy(names.begin(), names.end(), names_.begin());
  const std::size_t count = arguments.positional.size();
  if (count > names.size()) template_error("{} takes at most {} arguments, {} are given", function, names.size(), count);
  for (std::size_t i = 0; i < count; ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto found = static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
    if (found == names.size()) template_error("{} has no argument '{}'", function, printable(name));
    if (values_[found] != nullptr) template_error("{} is given '{}' twice", function, printable(name));
    values_[found] = &value;
  }
}

const Value& Parameters::required(std::size_t i) const {
  if (values_[i] == nullptr) template_error("{} needs '{}'", function_, names_[i]);
  return *values_[i];
}

std::string Parameters::text(Budget& budget, std::size_t i, std::string_view fallback) const {
  return values_[i] == nullptr ? std::string(fallback) : to_text(budget, *values_[i]);
}

const std::string& Parameters::string(std::size_t i) const {
  if (!required(i).is(Kind::string))
    template_error("{} wants a string as '{}', not a {}", function_, names_[i], type_name(*values_[i]));
  return values_[i]->text();
}

std::int64_t Parameters::whole(std::size_t i, std::int64_t fallback) const {
  if (values_[i] == nullptr) return fallback;
  if (!values_[i]->is_whole())
    template_error("{} wants a whole number as '{}', not a {}", function_, names_[i], type_name(*values_[i]));
  return values_[i]->integer();
}

bool Parameters::flag(std::size_t i, bool fallback) const { return values_[i] == nullptr ? fallback : truth(*values_[i]); }

const Builtin* find_filter(std::string_view name) {
  const Builtin* found = find_text_filter(name);
  return found != nullptr ? found : find_sequence_filter(name);
}

}  // namespace bitnet::jinja
