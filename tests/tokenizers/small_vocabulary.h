// A byte-level vocabulary made in code: 256 letters, a few merges, special tokens.
#pragma once

#include <string>
#include <vector>

#include "support/random_model.h"
#include "tokenizers/tokenizer.h"

namespace bitnet::test {

// Ids 0 to 255 are the bytes; then the results of `merges` in order, then <begin>, <end>, <end><end> (control) and <tool>
// (user-defined).
inline Vocabulary byte_vocabulary(const std::vector<std::string>& merges) {
  Vocabulary v;
  v.model = "gpt2", v.pre = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) v.tokens.push_back(byte_token(byte));
  for (const std::string& merge : merges) {
    const std::size_t space = merge.find(' ', 1);
    v.tokens.push_back(merge.substr(0, space) + merge.substr(space + 1));
  }
  v.kinds.assign(v.tokens.size(), TokenKind::normal);
  v.merges = merges;
  for (const auto& [text, kind] : {std::pair{"<begin>", TokenKind::control},
                                   {"<end>", TokenKind::control},
                                   {"<end><end>", TokenKind::control},
                                   {"<tool>", TokenKind::user_defined}}) {
    v.tokens.emplace_back(text), v.kinds.push_back(kind);
  }
  v.bos = static_cast<TokenId>(v.tokens.size() - 4), v.eos = static_cast<TokenId>(v.tokens.size() - 3);
  return v;
}

}  // namespace bitnet::test
