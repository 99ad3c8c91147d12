// Which models lie in a folder, and under what names may others ask for them?
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace bitnet {

// The names of the models that lie directly in the folder, sorted: of a file NAME.gguf, of the first part
// NAME-00001-of-0000N.gguf of a split one, of a folder NAME with a config.json. Throws Error{io} when it cannot be read.
std::vector<std::string> models_in(const std::string& folder);

// The path of one of them; nullopt when there is none. A name is 1 to 128 letters, digits and . _ : + - and does not begin with
// a dot, so that none leads out of the folder: it may come from a stranger.
std::optional<std::string> model_in(const std::string& folder, const std::string& name);

}  // namespace bitnet
