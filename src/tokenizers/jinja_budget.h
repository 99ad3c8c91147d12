// Budget: what one run of a template may still cost; everything that makes or reads values pays here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/error.h"
#include "tokenizers/chat_template.h"

namespace bitnet::jinja {

// A fact about the running template; the interpreter puts the line before it. Error{usage}.
template <class... Args>
[[noreturn]] void template_error(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorKind::usage, fmt::format(format, std::forward<Args>(args)...));
}

// Not thread safe: one run, one budget. Every function throws Error{usage} when its limit is passed.
class Budget {
 public:
  explicit Budget(const TemplateLimits& limits) : limits_(limits), steps_left_(limits.steps) {}

  void step(std::uint64_t count = 1) {
    if (count > steps_left_) template_error("more than {} steps of work", limits_.steps);
    steps_left_ -= count;
  }
  // Text that is read or written: cheap by the byte, but not free.
  void bytes(std::uint64_t count) { step(count / bytes_per_step); }
  // A string of `size` bytes that is about to be made, or one that is about to get `added` bytes longer.
  void string(std::uint64_t size) { longer_string(0, size); }
  void longer_string(std::uint64_t size, std::uint64_t added) {
    if (size > limits_.output_bytes || added > limits_.output_bytes - size) {
      template_error("a string of more than {} bytes", limits_.output_bytes);
    }
    bytes(added);
  }
  // A container whose deepest content is `depth` - 1 deep.
  void container(int depth) const {
    if (depth > limits_.depth) template_error("a list or dict nested deeper than {}", limits_.depth);
  }

  // One more node being evaluated inside others, for the guard's lifetime. Bounds the machine's stack.
  class Nested {
   public:
    explicit Nested(Budget& budget) : budget_(budget) {
      if (budget.nesting_ >= nesting_per_depth * budget.limits_.depth) {
        template_error("calls nested deeper than {} steps", nesting_per_depth * budget.limits_.depth);
      }
      ++budget.nesting_;
    }
    ~Nested() { --budget_.nesting_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    Budget& budget_;
  };

 private:
  static constexpr std::uint64_t bytes_per_step = 32;
  static constexpr int nesting_per_depth = 4;

  TemplateLimits limits_;
  std::uint64_t steps_left_;
  int nesting_ = 0;
};

}  // namespace bitnet::jinja
