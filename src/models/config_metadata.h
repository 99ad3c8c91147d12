// A configuration as GGUF metadata, for models that come from other containers.
#pragma once

#include "models/gguf_writer.h"
#include "models/model_config.h"

namespace bitnet {

// The keys that read_config reads back as the same values. Throws Error{unsupported} naming what they cannot say.
GgufMetadata gguf_metadata(const ModelConfig& config);

}  // namespace bitnet
