// How likely is a text, by one model?
#pragma once

#include <functional>
#include <string>

#include "cli/scored_text.h"
#include "inference/quality.h"

namespace bitnet::cli {

// Scores all windows; calls `on_window` behind each with the mean of the negative log likelihoods so far. Throws
// Error{cancelled} after Ctrl-C.
Mean score_text(Engine& engine, const ScoredText& text, const std::function<void(const Mean&)>& on_window);

// The perplexity of a text file with the settings that `bitnet perplexity` has without flags, and a progress bar. Throws what
// opening the model and read_scored_text throw.
Estimate perplexity_of(const std::string& model, const std::string& text_file, int threads);

}  // namespace bitnet::cli
