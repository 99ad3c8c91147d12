// Standard streams: is there a person at the other end, and how does text get there?
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bitnet::cli {

// Thrown by print() when the reader of standard output went away: the program then ends quietly.
struct OutputClosed {};

bool is_terminal(int descriptor);
bool use_colour(int descriptor);  // a terminal that knows colours, and no NO_COLOR in the environment

// Writes to standard output at once, without a buffer. Throws OutputClosed, or Error{io} for a full disk and the like.
void print(std::string_view text);

// print() for text that a model wrote: at a terminal control characters, which could act on it, appear as \xNN.
void print_answer(std::string_view text);

// "bitnet: LINE\n" to standard error; failures are ignored.
void print_note(std::string_view line);

// Text as it stands to standard error; failures are ignored.
void print_aside(std::string_view text);

// Text of standard input up to its end. Says on standard error that it waits when nothing comes. Throws Error{io}, and
// Error{too_big} above `limit` bytes.
std::string read_standard_input(std::size_t limit);

// A file's text, "-" for standard input. Throws Error: not_found, io, too_big above `limit` bytes.
std::string read_text_file(const std::string& path, std::size_t limit);

// `text` with every broken part as U+FFFD, which is what JSON can carry.
std::string with_valid_utf8(std::string_view text);

}  // namespace bitnet::cli
