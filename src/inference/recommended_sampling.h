// How a model's makers say that its tokens be drawn: general.sampling.* of a GGUF file, generation_config.json of a folder.
#pragma once

#include "inference/sampler.h"
#include "models/gguf_writer.h"
#include "models/model_files.h"
#include "models/strict_json.h"

namespace bitnet {

// The sampler's own defaults, with what the files recommend in place of them. Of a GGUF file: the keys that llama.cpp reads
// (gguf-py/gguf/constants.py, "Recommended Sampler Parameters") but for the order of the steps, which is the sampler's. Of a
// folder: temperature, top_k, top_p, min_p, typical_p and repetition_penalty as transformers means them, its penalty over the
// whole text; "do_sample": false is temperature 0. Numbers below zero switch temperature and top_k off. Throws
// Error{bad_model} naming what is no number or out of the sampler's bounds.
SamplingParams recommended_sampling(const GgufFile& file);
SamplingParams recommended_sampling(const HuggingFaceFolder& folder);
SamplingParams recommended_sampling(const ModelFiles& files);  // whichever describes them

// The same recommendation in the other container's words, as far as it has any: keys for a GGUF file, entries of
// generation_config.json. Throw what recommended_sampling throws.
void add_recommended_sampling(GgufMetadata& metadata, const HuggingFaceFolder& folder);
Json recommended_generation_config(const GgufFile& file);

}  // namespace bitnet
