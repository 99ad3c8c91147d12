// Settings of a command from a file, for what neither flags nor environment variables say.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace CLI {
class App;
}

namespace bitnet::cli {

// Flags by their names without dashes in front; a list has several values.
using Settings = std::vector<std::pair<std::string, std::vector<std::string>>>;

// JSON when the file begins with "{", else TOML: an object or table whose values are texts, numbers, true, false, or lists of
// these; of TOML's tables that of the command's name is read, too. Names are written with "-" or "_". Throws
// Error{not_found, usage} naming the file and the place.
Settings read_config(const std::string& path, const std::string& command);

// Sets the command's options as if they were flags, but for those that were set already. Throws Error{usage} for a name that is
// no flag of the command, and for values that the flag would not take.
void apply_config(CLI::App& command, const Settings& settings, const std::string& path);

// The last values of a name, if it is there.
std::optional<std::vector<std::string>> find_setting(const Settings& settings, const std::string& name);

// Gives every option that has none an environment variable: --max-queue is BITNET_MAX_QUEUE.
void name_variables(CLI::App& command);

}  // namespace bitnet::cli
