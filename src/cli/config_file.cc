// Reads configuration files and hands their values to CLI11 where nothing else was given.
#include "cli/config_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/terminal.h"
#include "common/error.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t most_bytes = 1 << 20;

using Json = nlohmann::json;

std::string with_dashes(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  while (name.starts_with('-')) name.erase(0, 1);
  return name;
}

std::string scalar(const Json& value, const std::string& path, const std::string& name) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  fail(ErrorKind::usage, "{}: {} is neither text, number, true, false nor a list of these", printable(path, 512),
       printable(name));
}

Settings read_json(const std::string& text, const std::string& path) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception& error) {
    fail(ErrorKind::usage, "{} is no JSON: {}", printable(path, 512), printable(error.what()));
  }
  Settings settings;
  for (const auto& [name, value] : json.items()) {
    std::vector<std::string> values;
    if (value.is_array()) {
      for (const Json& entry : value) values.push_back(scalar(entry, path, name));
    } else {
      values.push_back(scalar(value, path, name));
    }
    settings.emplace_back(with_dashes(name), std::move(values));
  }
  return settings;
}

std::string scalar(const toml::node& value, const std::string& path, const std::string& name) {
  if (const auto* text = value.as_string()) return text->get();
  if (const auto* number = value.as_integer()) return fmt::format("{}", number->get());
  if (const auto* number = value.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* flag = value.as_boolean()) return flag->get() ? "true" : "false";
  fail(ErrorKind::usage, "{}: {} is neither text, number, true, false nor a list of these", printable(path, 512),
       printable(name));
}

void add_settings(Settings& settings, const toml::table& table, const std::string& path, const std::string& section) {
  for (const auto& [key, value] : table) {
    const std::string name(key.str());
    if (const toml::table* inner = value.as_table()) {
      if (name != section)
        fail(ErrorKind::usage, "{}: [{}] is a section of its own, only [{}] is read", printable(path, 512), printable(name),
             section.empty() ? "that of the command" : section);
      add_settings(settings, *inner, path, "");
      continue;
    }
    std::vector<std::string> values;
    if (const toml::array* list = value.as_array()) {
      for (const toml::node& entry : *list) values.push_back(scalar(entry, path, name));
    } else {
      values.push_back(scalar(value, path, name));
    }
    settings.emplace_back(with_dashes(name), std::move(values));
  }
}

Settings read_toml(const std::string& text, const std::string& path, const std::string& command) {
  Settings settings;
  try {
    add_settings(settings, toml::parse(text), path, command);
  } catch (const toml::parse_error& error) {
    fail(ErrorKind::usage, "{} is no TOML: line {}: {}", printable(path, 512), error.source().begin.line,
         printable(std::string(error.description())));
  }
  return settings;
}

}  // namespace

Settings read_config(const std::string& path, const std::string& command) {
  const std::string text = read_text_file(path, most_bytes);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '{') return read_json(text, path);
  return read_toml(text, path, command);
}

void apply_config(CLI::App& command, const Settings& settings, const std::string& path) {
  std::vector<CLI::Option*> set_here;
  for (const auto& [name, values] : settings) {
    CLI::Option* option = name.empty() ? nullptr : command.get_option_no_throw("--" + name);
    if (option == nullptr || name == "help" || name == "config")
      fail(ErrorKind::usage, "{}: '{}' is no setting; settings are the flags of `bitnet {} --help`", printable(path, 512),
           printable(name), command.get_name());
    const bool again = std::find(set_here.begin(), set_here.end(), option) != set_here.end();
    if (option->count() > 0 && !again) continue;
    try {
      for (const std::string& value : values) {
        option->add_result(option->get_type_size() == 0 ? option->get_flag_value("--" + name, value) : value);
      }
      option->run_callback();
    } catch (const CLI::Error& error) {
      fail(ErrorKind::usage, "{}: {}", printable(path, 512), printable(error.what()));
    }
    if (!again) set_here.push_back(option);
  }
}

std::optional<std::vector<std::string>> find_setting(const Settings& settings, const std::string& name) {
  std::optional<std::vector<std::string>> found;
  for (const auto& [key, values] : settings) {
    if (key == name) found = values;
  }
  return found;
}

void name_variables(CLI::App& command) {
  for (CLI::Option* option : command.get_options()) {
    if (option->get_lnames().empty() || !option->get_envname().empty()) continue;
    std::string name = option->get_lnames().front();
    if (name == "help") continue;
    for (char& c : name) c = c == '-' ? '_' : (c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
    option->envname("BITNET_" + name);
  }
}

}  // namespace bitnet::cli
