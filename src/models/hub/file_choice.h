// Which files of a repository make up the model that a user asked for?
#pragma once

#include <string>
#include <vector>

namespace bitnet::hub {

struct FileChoice {
  std::vector<std::string> files;  // sorted; all parts of a file that comes in parts
  std::string main;                // the file to open; empty = the folder that holds them
};

// Without `wanted`: a GGUF file, the best of I2_S, TQ2_0, TQ1_0 and so on (docs in the .cc); or else the HuggingFace model
// folder: configuration, tokenizer and SafeTensors. `wanted` names a file, or a quantization that stands in a file's name
// ("I2_S"). Throws Error{not_found} when nothing fits or parts are missing, Error{usage} that lists the choices when several
// fit; `where` names the repository in them.
FileChoice choose_files(const std::vector<std::string>& names, const std::string& wanted, const std::string& where);

// All parts of a file named ...-00001-of-00003.gguf or .safetensors, of at most 1000; the file itself when it is not so named.
std::vector<std::string> parts_of(const std::string& name);

// True for a `wanted` that can be asked for without a list of files: it has an extension.
bool is_file_name(const std::string& wanted);

}  // namespace bitnet::hub
