// The compiler of grammars: which rules have texts, one automaton for each, and what must not be.
#include <algorithm>
#include <bitset>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "common/error.h"
#include "inference/grammar/grammar.h"
#include "inference/grammar/rule_automaton.h"

namespace bitnet {
namespace {

using Expression = GrammarSource::Expression;
using Kind = GrammarSource::Kind;

// Whether an expression has an empty text, and whether it has another, both finite.
struct Texts {
  bool empty = false, other = false;
  bool any() const { return empty || other; }
  bool operator==(const Texts&) const = default;
};

// The smallest solution of the rules' equations, found by evaluating a rule again when one that it calls has changed.
class RuleTexts {
 public:
  RuleTexts(const GrammarSource& source, StepBudget& budget)
      : source_(source), budget_(budget), found_(source.rules().size()), callers_(source.rules().size()) {
    std::deque<RuleId> changed;
    std::vector<bool> waits(found_.size(), true);
    for (std::size_t i = found_.size(); i-- > 0;) {
      const auto rule = static_cast<RuleId>(i);
      const ExpressionId body = source.rules()[i].body;
      if (body < 0) fail(ErrorKind::usage, "rule '{}' is used but not defined", printable(source.rules()[i].name));
      note_calls(body, rule);
      changed.push_back(rule);
    }
    for (auto& callers : callers_) {
      std::sort(callers.begin(), callers.end());
      callers.erase(std::unique(callers.begin(), callers.end()), callers.end());
    }
    while (!changed.empty()) {
      const auto i = static_cast<std::size_t>(changed.front());
      changed.pop_front();
      waits[i] = false;
      const Texts now = of(source.rules()[i].body);
      if (now == found_[i]) continue;
      found_[i] = now;
      for (const RuleId caller : callers_[i]) {
        if (!waits[static_cast<std::size_t>(caller)]) changed.push_back(caller), waits[static_cast<std::size_t>(caller)] = true;
      }
    }
  }

  Texts of_rule(RuleId rule) const { return found_[static_cast<std::size_t>(rule)]; }

  // Recursion is bounded by the depth of expressions.
  Texts of(ExpressionId id) const {
    const Expression& e = source_[id];
    budget_.spend(1);
    switch (e.kind) {
      case Kind::never:
        return {};
      case Kind::text:
        return {e.text.empty(), !e.text.empty()};
      case Kind::characters:
        return {false, !e.ranges.empty()};
      case Kind::rule:
        return of_rule(e.rule);
      case Kind::repeat: {
        const Texts part = of(e.parts[0]);
        if (e.most == 0) return {true, false};
        return {e.least == 0 || part.empty, part.other};
      }
      case Kind::choice: {
        Texts any;
        for (const ExpressionId part : e.parts) {
          const Texts texts = of(part);
          any.empty |= texts.empty, any.other |= texts.other;
        }
        return any;
      }
      case Kind::sequence:
      case Kind::list:
        break;
    }
    return of_parts(e);
  }

  // A rule without texts that the lack of `rule`'s comes from.
  RuleId culprit(RuleId rule) const {
    std::vector<bool> seen(found_.size());
    while (true) {
      seen[static_cast<std::size_t>(rule)] = true;
      std::optional<RuleId> next;
      find_empty(source_.rules()[static_cast<std::size_t>(rule)].body, seen, next);
      if (!next) return rule;
      rule = *next;
    }
  }

 private:
  Texts of_parts(const Expression& e) const {
    const bool is_list = e.kind == Kind::list;
    Texts all = {true, false};
    for (std::size_t i = 0; i + (is_list ? 1 : 0) < e.parts.size(); ++i) {
      const Texts part = of(e.parts[i]);
      if (is_list && !e.required[i]) {
        all.other |= part.any();
        continue;
      }
      if (!part.any()) return {};
      all.empty &= part.empty, all.other |= part.other;
    }
    return all;
  }

  void note_calls(ExpressionId id, RuleId caller) {
    budget_.spend(1);
    const Expression& e = source_[id];
    if (e.kind == Kind::rule) callers_[static_cast<std::size_t>(e.rule)].push_back(caller);
    for (const ExpressionId part : e.parts) note_calls(part, caller);
  }

  void find_empty(ExpressionId id, const std::vector<bool>& seen, std::optional<RuleId>& found) const {
    const Expression& e = source_[id];
    if (found || of(id).any()) return;
    if (e.kind == Kind::rule && !seen[static_cast<std::size_t>(e.rule)]) found = e.rule;
    for (std::size_t i = 0; i < e.parts.size(); ++i) {
      if (e.kind != Kind::list || i >= e.required.size() || e.required[i]) find_empty(e.parts[i], seen, found);
    }
  }

  const GrammarSource& source_;
  StepBudget& budget_;
  std::vector<Texts> found_;
  std::vector<std::vector<RuleId>> callers_;
};

}  // namespace

class GrammarCompiler {
 public:
  GrammarCompiler(const GrammarSource& source, RuleId root)
      : source_(source), budget_(GrammarLimits::steps), texts_(source, budget_) {
    const Texts all = texts_.of_rule(root);
    if (!all.any()) {
      const RuleId rule = texts_.culprit(root);
      fail(ErrorKind::usage, "nothing can match: '{}' has no finite text",
           printable(source.rules()[static_cast<std::size_t>(rule)].name));
    }
    out_->nullable_ = all.empty;
    out_->root_ = place_of(root);
    for (std::size_t i = 0; i < bodies_.size(); ++i) write_rule(i);
    order_rules();
    classify_bytes();
  }

  std::shared_ptr<const Grammar> take() { return std::move(out_); }

 private:
  // A part that is heavy and often repeated becomes a rule of its own, so that repeats within repeats do not multiply.
  static constexpr std::int64_t light = 12, heavy = 4096;

  std::int32_t place_of(RuleId rule) {
    const auto [found, is_new] = places_.try_emplace(rule, static_cast<std::int32_t>(bodies_.size()));
    if (is_new) {
      const GrammarSource::Rule& named = source_.rules()[static_cast<std::size_t>(rule)];
      bodies_.push_back(named.body), names_.push_back(named.name);
    }
    return found->second;
  }

  std::int32_t place_of_part(ExpressionId part) {
    const auto [found, is_new] = part_places_.try_emplace(part, static_cast<std::int32_t>(bodies_.size()));
    if (is_new) bodies_.push_back(part), names_.push_back(name_ + " (repeated part)");
    return found->second;
  }

  void write_rule(std::size_t index) {
    name_ = names_[index];
    Nfa nfa;
    const std::int32_t start = nfa.add_state();
    nfa.final = nfa.add_state();
    write(nfa, bodies_[index], start, nfa.final);
    const RuleAutomaton automaton = make_rule_automaton(nfa, budget_);
    const auto first = static_cast<std::int32_t>(out_->states_.size());
    if (out_->states_.size() + automaton.states.size() > static_cast<std::size_t>(GrammarLimits::states))
      fail(ErrorKind::usage, "the grammar has more than {} states", GrammarLimits::states);
    for (const RuleAutomaton::State& state : automaton.states) {
      Grammar::State kept{};
      kept.edges_begin = static_cast<std::int32_t>(out_->edges_.size());
      for (const Grammar::ByteEdge& edge : state.edges) out_->edges_.push_back({edge.first, edge.last, edge.to + first});
      kept.edges_end = static_cast<std::int32_t>(out_->edges_.size());
      kept.calls_begin = static_cast<std::int32_t>(out_->calls_.size());
      for (const Grammar::Call& call : state.calls) out_->calls_.push_back({call.rule, call.back + first});
      kept.calls_end = static_cast<std::int32_t>(out_->calls_.size());
      kept.accepts = state.accepts;
      out_->states_.push_back(kept);
    }
    out_->rules_.push_back({first, 0});
  }

  static void skip(Nfa& nfa, std::int32_t from, std::int32_t to) { nfa.edges.push_back({from, to, Nfa::reads_nothing, 0, 0}); }

  // No edge leads back to `from` nor on from `to`, but for those of the expressions around. Recursion is bounded by the depth
  // of expressions.
  void write(Nfa& nfa, ExpressionId id, std::int32_t from, std::int32_t to) {
    const Expression& e = source_[id];
    budget_.spend(1 + static_cast<std::int64_t>(e.text.size() + 4 * e.ranges.size()));
    switch (e.kind) {
      case Kind::never:
        return;
      case Kind::text:
        return add_text(nfa, e.text, from, to);
      case Kind::characters:
        return add_characters(nfa, e.ranges, from, to);
      case Kind::choice:
        for (const ExpressionId part : e.parts) write(nfa, part, from, to);
        return;
      case Kind::sequence:
        for (std::size_t i = 0; i < e.parts.size(); ++i) {
          const std::int32_t next = i + 1 == e.parts.size() ? to : nfa.add_state();
          write(nfa, e.parts[i], from, next);
          from = next;
        }
        return;
      case Kind::rule: {
        const Texts texts = texts_.of_rule(e.rule);
        if (texts.other) nfa.edges.push_back({from, to, place_of(e.rule), 0, 0});
        if (texts.empty) skip(nfa, from, to);
        return;
      }
      case Kind::repeat:
        return write_repeat(nfa, e, from, to);
      case Kind::list:
        return write_list(nfa, e, from, to);
    }
  }

  // Copies of a part that may be empty are copies of its other texts, any number of them up to `most`.
  void write_repeat(Nfa& nfa, const Expression& e, std::int32_t from, std::int32_t to) {
    const ExpressionId part = e.parts[0];
    const Texts texts = texts_.of(part);
    const bool few = std::max(e.least, e.most) <= 8;
    const bool as_rule = !few && (texts.empty || (source_[part].weight > light && e.weight > heavy));
    const auto write_copy = [&](std::int32_t begin, std::int32_t end) {
      if (!as_rule) return write(nfa, part, begin, end);
      if (texts.other) nfa.edges.push_back({begin, end, place_of_part(part), 0, 0});
    };
    const std::int64_t least = as_rule && texts.empty ? 0 : e.least;
    std::int32_t at = from;
    for (std::int64_t i = 0; i < least; ++i) {
      const std::int32_t next = nfa.add_state();
      write_copy(at, next);
      at = next;
    }
    if (e.most < 0) {
      const std::int32_t loop = nfa.add_state();
      skip(nfa, at, loop);
      write_copy(loop, loop);
      at = loop;
    }
    for (std::int64_t i = least; i < e.most; ++i) {
      const std::int32_t next = nfa.add_state();
      skip(nfa, at, to);
      write_copy(at, next);
      at = next;
    }
    skip(nfa, at, to);
  }

  // Two tracks: nothing written yet, and something, which wants a separator before the next.
  void write_list(Nfa& nfa, const Expression& e, std::int32_t from, std::int32_t to) {
    std::int32_t none = from;
    std::int32_t some = nfa.add_state();
    for (std::size_t i = 0; i < e.required.size(); ++i) {
      const std::int32_t next_none = nfa.add_state(), next_some = nfa.add_state(), separated = nfa.add_state();
      write(nfa, e.parts[i], none, next_some);
      write(nfa, e.parts.back(), some, separated);
      write(nfa, e.parts[i], separated, next_some);
      if (!e.required[i]) skip(nfa, none, next_none), skip(nfa, some, next_some);
      none = next_none, some = next_some;
    }
    skip(nfa, none, to), skip(nfa, some, to);
  }

  // Callers before what they call first; Kahn's algorithm finds what calls itself in a circle.
  void order_rules() {
    std::vector<std::int32_t> callers(out_->rules_.size());
    const auto first_calls = [&](std::size_t i) { return out_->calls(out_->state(out_->rules_[i].start)); };
    for (std::size_t i = 0; i < out_->rules_.size(); ++i) {
      for (const Grammar::Call& call : first_calls(i)) ++callers[static_cast<std::size_t>(call.rule)];
    }
    std::vector<std::size_t> ready;
    for (std::size_t i = 0; i < callers.size(); ++i) {
      if (callers[i] == 0) ready.push_back(i);
    }
    std::int32_t next = 0;
    while (!ready.empty()) {
      const std::size_t i = ready.back();
      ready.pop_back();
      out_->rules_[i].order = next++;
      for (const Grammar::Call& call : first_calls(i)) {
        if (--callers[static_cast<std::size_t>(call.rule)] == 0) ready.push_back(static_cast<std::size_t>(call.rule));
      }
    }
    if (next == static_cast<std::int32_t>(callers.size())) return;
    for (std::size_t i = 0; i < callers.size(); ++i) {
      if (callers[i] > 0)
        fail(ErrorKind::usage,
             "rule '{}' or one that it begins with is left-recursive: it calls itself before it reads anything",
             printable(names_[i]));
    }
  }

  void classify_bytes() {
    std::bitset<257> starts;
    for (const Grammar::ByteEdge& edge : out_->edges_) {
      starts[edge.first] = true, starts[std::size_t{edge.last} + 1] = true;
      for (std::size_t b = edge.first; b <= edge.last; ++b) out_->uses_[b] = true;
    }
    for (std::size_t b = 0; b < 256; ++b) {
      if (b == 0 || starts[b]) out_->bytes_.push_back(static_cast<std::uint8_t>(b));
      out_->classes_[b] = static_cast<std::uint8_t>(out_->bytes_.size() - 1);
    }
  }

  const GrammarSource& source_;
  StepBudget budget_;
  RuleTexts texts_;
  std::shared_ptr<Grammar> out_ = std::make_shared<Grammar>();
  std::map<RuleId, std::int32_t> places_;
  std::map<ExpressionId, std::int32_t> part_places_;
  std::vector<ExpressionId> bodies_;
  std::vector<std::string> names_;
  std::string name_;  // of the rule that is being written
};

std::shared_ptr<const Grammar> Grammar::compile(const GrammarSource& source, RuleId root) {
  return GrammarCompiler(source, root).take();
}

}  // namespace bitnet
