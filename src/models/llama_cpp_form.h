// What has to change in a conversion for llama.cpp of today to load the file?
#pragma once

#include "models/gguf_conversion.h"

namespace bitnet {

// Gives the 2B-4T architectures the name of the one that llama.cpp has for such models, `bitnet`, with the activation as a key
// of its own (llama.cpp does not read it and computes SiLU; this program does read it); names the pre-tokenizer; leaves a
// second copy of the embedding out. Throws Error{usage} naming the tensor for a type that llama.cpp does not read, and for a
// scale beside a tensor where it would not be applied. Source: llama.cpp's models/bitnet.cpp and llama-model-loader.cpp.
void adapt_to_llama_cpp(const SourceModel& source, ConversionPlan& plan);

}  // namespace bitnet
