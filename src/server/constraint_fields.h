// Fields that hold an answer within a grammar, by the names of every protocol.
#pragma once

#include <memory>
#include <string>

#include "inference/grammar/grammar.h"
#include "server/json_fields.h"

namespace bitnet::server {

// OpenAI's response_format, llama.cpp's grammar and json_schema, vLLM's guided_...; at most one of them; null for none. Throws
// ApiError naming the field: "invalid_grammar" for a grammar that cannot be kept.
std::shared_ptr<const Grammar> read_constraint(const Fields& fields);

// The grammar of a format as response_format and the responses API's text.format write it; null for plain text. `path` is the
// field's own. Throws ApiError.
std::shared_ptr<const Grammar> format_grammar(const Json& format, const std::string& path);

// Of a schema, or text that holds one. Throws ApiError naming `field`.
std::shared_ptr<const Grammar> schema_grammar(const Json& schema, const std::string& field);

}  // namespace bitnet::server
