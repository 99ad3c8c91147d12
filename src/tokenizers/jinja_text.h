// Text operations of Python's str that templates use, on UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitnet::jinja {

// Strips the characters of `chars` (white space when null) from the chosen sides.
std::string strip(const std::string& text, const std::string* chars, bool left, bool right);
std::vector<std::string> split_white_space(const std::string& text, std::int64_t most, bool from_right);
std::vector<std::string> split_by(const std::string& text, const std::string& separator, std::int64_t most, bool from_right);
std::vector<std::string> split_lines(const std::string& text);
// At most `most` replacements (all when negative); stops growing beyond `max_bytes`, which the caller checks.
std::string replace(const std::string& text, const std::string& from, const std::string& to, std::int64_t most,
                    std::size_t max_bytes);
std::string upper(const std::string& text);  // one to one, but for the sharp s
std::string lower(const std::string& text);
std::string title(const std::string& text);
std::string capitalize(const std::string& text);

}  // namespace bitnet::jinja
