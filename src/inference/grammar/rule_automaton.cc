// From an expression's nondeterministic automaton to one without empty edges: subsets of states, as far as they stay few.
#include "inference/grammar/rule_automaton.h"

#include <algorithm>
#include <bitset>
#include <map>
#include <unordered_map>
#include <utility>

#include "common/error.h"
#include "common/utf8.h"

namespace bitnet {
namespace {

struct ByteRange {
  std::uint8_t first, last;
  auto operator<=>(const ByteRange&) const = default;
};
using ByteRanges = std::vector<ByteRange>;  // one for each byte of a character

// Codes of one length in UTF-8 as sequences of byte ranges: cut where a range of codes does not fill its lower bytes.
void split(char32_t first, char32_t last, int length, std::vector<ByteRanges>& out) {
  for (int i = 1; i < length; ++i) {
    const char32_t low = (char32_t{1} << (6 * i)) - 1;
    if ((first & ~low) == (last & ~low)) continue;
    if ((first & low) != 0) return split(first, first | low, length, out), split((first | low) + 1, last, length, out);
    if ((last & low) != low) return split(first, (last & ~low) - 1, length, out), split(last & ~low, last, length, out);
  }
  std::string low, high;
  utf8_append(low, first), utf8_append(high, last);
  ByteRanges bytes;
  for (std::size_t i = 0; i < low.size(); ++i)
    bytes.push_back({static_cast<std::uint8_t>(low[i]), static_cast<std::uint8_t>(high[i])});
  out.push_back(std::move(bytes));
}

struct StatesHash {
  std::size_t operator()(const std::vector<std::int32_t>& states) const {
    std::uint64_t hash = 0xcbf29ce484222325ull;
    for (const std::int32_t state : states) hash = (hash ^ static_cast<std::uint32_t>(state)) * 0x100000001b3ull;
    return static_cast<std::size_t>(hash ^ hash >> 29);
  }
};

// Builds one automaton; with `merge`, edges that read the same lead to one state.
class Construction {
 public:
  Construction(const Nfa& nfa, bool merge) : nfa_(nfa), merge_(merge), first_(nfa.states + 1), seen_(nfa.states) {
    for (const Nfa::Edge& edge : nfa.edges) ++first_[static_cast<std::size_t>(edge.from) + 1];
    for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
    edges_.resize(nfa.edges.size());
    std::vector<std::size_t> next(first_.begin(), first_.end() - 1);
    for (const Nfa::Edge& edge : nfa.edges) edges_[next[static_cast<std::size_t>(edge.from)]++] = edge;
  }

  // False when it would have more states than `most`, or take more than `budget` has.
  bool run(std::size_t most, StepBudget& budget) {
    sets_.push_back(closure({0}, budget));
    out_.states.emplace_back();
    for (std::size_t at = 0; at < sets_.size(); ++at) {
      if (sets_.size() > most || budget.left() < 0) return false;
      expand(at, budget);
    }
    out_.states[0].accepts = false;
    return budget.left() >= 0;
  }

  RuleAutomaton take() { return std::move(out_); }

 private:
  using States = std::vector<std::int32_t>;

  std::span<const Nfa::Edge> edges_of(std::int32_t state) const {
    const auto i = static_cast<std::size_t>(state);
    return std::span(edges_).subspan(first_[i], first_[i + 1] - first_[i]);
  }

  // What is reached without reading, of that the states that do something.
  States closure(States from, StepBudget& budget) {
    ++stamp_;
    States found;
    while (!from.empty()) {
      const std::int32_t state = from.back();
      from.pop_back();
      if (seen_[static_cast<std::size_t>(state)] == stamp_) continue;
      seen_[static_cast<std::size_t>(state)] = stamp_;
      bool reads = state == nfa_.final;
      for (const Nfa::Edge& edge : edges_of(state)) {
        if (edge.call == Nfa::reads_nothing) {
          from.push_back(edge.to);
        } else {
          reads = true;
        }
      }
      budget.take(1 + static_cast<std::int64_t>(edges_of(state).size()));
      if (reads) found.push_back(state);
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  std::int32_t id_of(const States& targets, StepBudget& budget) {
    States set = closure(targets, budget);
    const auto [found, is_new] = ids_.try_emplace(std::move(set), static_cast<std::int32_t>(sets_.size()));
    if (is_new) {
      sets_.push_back(found->first);
      out_.states.emplace_back();
    }
    return found->second;
  }

  void expand(std::size_t at, StepBudget& budget) {
    std::vector<Nfa::Edge> bytes;
    std::map<std::int32_t, States> calls;
    const States members = sets_[at];
    bool accepts = false;
    for (const std::int32_t member : members) {
      accepts |= member == nfa_.final;
      for (const Nfa::Edge& edge : edges_of(member)) {
        if (edge.call == Nfa::reads_byte) bytes.push_back(edge);
        if (edge.call >= 0) calls[edge.call].push_back(edge.to);
      }
    }
    std::vector<Grammar::ByteEdge> edges = merge_ ? merged(bytes, budget) : separate(bytes, budget);
    std::vector<Grammar::Call> called;
    for (const auto& [rule, targets] : calls) {
      if (merge_) {
        called.push_back({rule, id_of(targets, budget)});
        continue;
      }
      for (const std::int32_t target : targets) called.push_back({rule, id_of({target}, budget)});
    }
    budget.take(static_cast<std::int64_t>(edges.size() + called.size()));
    out_.states[at] = {std::move(edges), std::move(called), accepts};
  }

  std::vector<Grammar::ByteEdge> separate(const std::vector<Nfa::Edge>& bytes, StepBudget& budget) {
    std::vector<Grammar::ByteEdge> edges;
    for (const Nfa::Edge& edge : bytes) edges.push_back({edge.first, edge.last, id_of({edge.to}, budget)});
    return edges;
  }

  std::vector<Grammar::ByteEdge> merged(const std::vector<Nfa::Edge>& bytes, StepBudget& budget) {
    std::bitset<257> starts;
    for (const Nfa::Edge& edge : bytes) starts[edge.first] = true, starts[std::size_t{edge.last} + 1] = true;
    std::vector<Grammar::ByteEdge> edges;
    for (std::size_t first = 0; first < 256;) {
      std::size_t last = first;
      while (last < 255 && !starts[last + 1]) ++last;
      States targets;
      for (const Nfa::Edge& edge : bytes) {
        if (edge.first <= first && last <= edge.last) targets.push_back(edge.to);
      }
      budget.take(static_cast<std::int64_t>(bytes.size()) / 8 + 1);
      if (!targets.empty()) {
        const std::int32_t to = id_of(targets, budget);
        if (!edges.empty() && edges.back().to == to && std::size_t{edges.back().last} + 1 == first) {
          edges.back().last = static_cast<std::uint8_t>(last);
        } else {
          edges.push_back({static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(last), to});
        }
      }
      first = last + 1;
    }
    return edges;
  }

  const Nfa& nfa_;
  const bool merge_;
  std::vector<Nfa::Edge> edges_;    // by the state they leave
  std::vector<std::size_t> first_;  // (states + 1) in edges_
  std::vector<std::uint32_t> seen_;
  std::uint32_t stamp_ = 0;
  std::unordered_map<States, std::int32_t, StatesHash> ids_;
  std::vector<States> sets_;
  RuleAutomaton out_;
};

// Leaves out what cannot reach an end.
RuleAutomaton trimmed(RuleAutomaton automaton) {
  const std::size_t count = automaton.states.size();
  std::vector<std::vector<std::int32_t>> before(count);
  std::vector<std::int32_t> ends;
  for (std::size_t i = 0; i < count; ++i) {
    const auto id = static_cast<std::int32_t>(i);
    for (const auto& edge : automaton.states[i].edges) before[static_cast<std::size_t>(edge.to)].push_back(id);
    for (const auto& call : automaton.states[i].calls) before[static_cast<std::size_t>(call.back)].push_back(id);
    if (automaton.states[i].accepts) ends.push_back(id);
  }
  std::vector<std::int32_t> place(count, -1);
  place[0] = 0;
  std::vector<bool> alive(count);
  while (!ends.empty()) {
    const auto i = static_cast<std::size_t>(ends.back());
    ends.pop_back();
    if (alive[i]) continue;
    alive[i] = true;
    ends.insert(ends.end(), before[i].begin(), before[i].end());
  }
  RuleAutomaton out;
  alive[0] = true;
  for (std::size_t i = 0, next = 0; i < count; ++i) {
    if (alive[i]) place[i] = static_cast<std::int32_t>(next++);
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (!alive[i]) continue;
    RuleAutomaton::State& state = automaton.states[i];
    std::erase_if(state.edges, [&](const auto& edge) { return place[static_cast<std::size_t>(edge.to)] < 0; });
    std::erase_if(state.calls, [&](const auto& call) { return place[static_cast<std::size_t>(call.back)] < 0; });
    for (auto& edge : state.edges) edge.to = place[static_cast<std::size_t>(edge.to)];
    for (auto& call : state.calls) call.back = place[static_cast<std::size_t>(call.back)];
    out.states.push_back(std::move(state));
  }
  return out;
}

}  // namespace

void StepBudget::spend(std::int64_t steps) {
  if (!take(steps)) fail(ErrorKind::usage, "the grammar takes more than {} steps to compile", GrammarLimits::steps);
}

void add_characters(Nfa& nfa, const std::vector<CodeRange>& ranges, std::int32_t from, std::int32_t to) {
  std::vector<ByteRanges> sequences;
  constexpr char32_t ends[] = {0x7f, 0x7ff, 0xffff, 0x10ffff};
  for (const CodeRange& range : ranges) {
    char32_t first = range.first;
    for (int length = 1; length <= 4 && first <= range.last; ++length) {
      if (first > ends[length - 1]) continue;
      const char32_t last = std::min(range.last, ends[length - 1]);
      split(first, last, length, sequences);
      first = last + 1;
    }
  }
  std::map<ByteRanges, std::int32_t> states = {{{}, to}};  // by the bytes that are left to read
  for (const ByteRanges& sequence : sequences) {
    std::int32_t behind = to;
    for (std::size_t at = sequence.size() - 1; at > 0; --at) {
      const ByteRanges rest(sequence.begin() + static_cast<std::ptrdiff_t>(at), sequence.end());
      const auto [found, is_new] = states.try_emplace(rest, nfa.states);
      if (is_new) nfa.edges.push_back({nfa.add_state(), behind, Nfa::reads_byte, sequence[at].first, sequence[at].last});
      behind = found->second;
    }
    nfa.edges.push_back({from, behind, Nfa::reads_byte, sequence[0].first, sequence[0].last});
  }
}

void add_text(Nfa& nfa, std::string_view bytes, std::int32_t from, std::int32_t to) {
  if (bytes.empty()) nfa.edges.push_back({from, to, Nfa::reads_nothing, 0, 0});
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::int32_t next = i + 1 == bytes.size() ? to : nfa.add_state();
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    nfa.edges.push_back({from, next, Nfa::reads_byte, byte, byte});
    from = next;
  }
}

RuleAutomaton make_rule_automaton(const Nfa& nfa, StepBudget& budget) {
  // Subsets may be exponentially many; a tenth of what is left finds out.
  StepBudget trial(budget.left() / 10);
  const std::int64_t given = trial.left();
  Construction deterministic(nfa, true);
  const bool done = deterministic.run(static_cast<std::size_t>(nfa.states) * 4 + 256, trial);
  budget.spend(std::min(given, given - trial.left()));
  if (done) return trimmed(deterministic.take());
  Construction plain(nfa, false);
  if (!plain.run(static_cast<std::size_t>(nfa.states) + 1, budget)) budget.spend(GrammarLimits::steps);
  return trimmed(plain.take());
}

}  // namespace bitnet
