// What tests of grammars share: asking a grammar about a text, and walking it at random.
#pragma once

#include <gmock/gmock.h>

#include <deque>
#include <random>
#include <set>
#include <string>

#include "common/error.h"
#include "inference/grammar/matcher.h"
#include "support/random_model.h"
#include "tokenizers/tokenizer.h"

namespace bitnet::test {

using GrammarPtr = std::shared_ptr<const Grammar>;

inline bool begins(const GrammarPtr& grammar, std::string_view text) { return GrammarMatcher(grammar).accept(text); }

inline bool matches(const GrammarPtr& grammar, std::string_view text) {
  GrammarMatcher matcher(grammar);
  return matcher.accept(text) && matcher.can_end();
}

// Whether some text of the grammar goes on from here: looked for in breadth, then in depth, high bytes first and low bytes
// first.
inline bool can_be_finished(GrammarMatcher from, std::size_t most = 20000) {
  MatchStates& states = from.states();
  const std::size_t classes = from.grammar().class_count();
  for (const int way : {0, 1, 2}) {
    std::deque<MatchStates::Id> open = {from.now()};
    std::set<MatchStates::Id> seen = {from.now()};
    while (!open.empty() && seen.size() < most) {
      const MatchStates::Id at = way == 0 ? open.front() : open.back();
      way == 0 ? open.pop_front() : open.pop_back();
      if (states.can_end(at)) return true;
      for (std::size_t i = 0; i < classes; ++i) {
        const MatchStates::Id next = states.step(at, static_cast<std::uint8_t>(way == 2 ? classes - 1 - i : i));
        if (next != MatchStates::dead && seen.insert(next).second) open.push_back(next);
      }
    }
  }
  return false;
}

// A random text of the grammar, byte by byte; `most` bytes at most, then it is cut.
inline std::string random_text(const GrammarPtr& grammar, std::mt19937& random, std::size_t most, bool* ended = nullptr) {
  GrammarMatcher matcher(grammar);
  std::string text;
  if (ended != nullptr) *ended = false;
  while (text.size() < most) {
    const auto next = matcher.next_bytes();
    if (next.none() || (matcher.can_end() && random() % 3 == 0)) break;
    std::vector<char> bytes;
    for (std::size_t byte = 0; byte < 256; ++byte) {
      // What ends things comes more often, or texts would not.
      const int times = byte == '"' || byte == '}' || byte == ']' ? 40 : (byte >= 0x80 || byte == '\\' ? 1 : 4);
      if (next[byte]) bytes.insert(bytes.end(), static_cast<std::size_t>(times), static_cast<char>(byte));
    }
    const char byte = bytes[random() % bytes.size()];
    EXPECT_TRUE(matcher.accept(std::string(1, byte)));
    text += byte;
  }
  if (ended != nullptr) *ended = matcher.can_end();
  return text;
}

// The message of the Error{usage} that `make` throws; empty when it throws none.
template <class Make>
std::string refusal(Make make) {
  try {
    make();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  return {};
}

// Byte-level: every byte, then `more` as written, then "<end>", a control token.
inline std::unique_ptr<const Tokenizer> byte_level_tokenizer(const std::vector<std::string>& more) {
  Vocabulary v;
  v.model = "gpt2", v.pre = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) v.tokens.push_back(byte_token(byte));
  for (const std::string& text : more) {
    std::string& token = v.tokens.emplace_back();
    for (const char c : text) token += byte_token(static_cast<std::uint8_t>(c));
  }
  v.kinds.assign(v.tokens.size(), TokenKind::normal);
  v.tokens.emplace_back("<end>"), v.kinds.push_back(TokenKind::control);
  v.eos = static_cast<TokenId>(v.tokens.size() - 1);
  return make_tokenizer(std::move(v));
}

}  // namespace bitnet::test
