// ModelName: how users write a published model, OWNER/NAME[:FILE][@REVISION], and which names from outside may become file
// names.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bitnet::hub {

struct ModelName {
  std::string repository;  // "OWNER/NAME"
  std::string file;        // a path within the repository, or a quantization as in "I2_S"; empty = to be chosen
  std::string revision;    // branch, tag or commit; empty = "main"

  std::string revision_or_main() const { return revision.empty() ? "main" : revision; }
  std::string text() const;  // as a user would write it
};

// A short name for a model that many ask for.
struct Alias {
  const char* name;
  const char* repository;
};
std::span<const Alias> aliases();

// Reads OWNER/NAME[:FILE][@REVISION], with an alias in place of OWNER/NAME too. nullopt for anything else.
std::optional<ModelName> parse_model_name(std::string_view text);

// Throws Error{usage} where parse_model_name gives nullopt.
ModelName require_model_name(std::string_view text);

// A relative path that stays where it is put: no empty part, no "..", no control byte, backslash or broken UTF-8.
bool is_safe_path(std::string_view path);
// One part of such a path out of letters, digits, '.', '_' and '-', without a leading dot: what an etag must be.
bool is_safe_blob_name(std::string_view name);
// Forty hexadecimal digits in lower case.
bool is_commit(std::string_view text);

// "models--OWNER--NAME" and back; nullopt for a folder that is no model's.
std::string repository_folder(const std::string& repository);
std::optional<std::string> repository_of_folder(std::string_view folder);

}  // namespace bitnet::hub
