// DraftPolicy: how many drafted tokens is it worth verifying together with the next one?
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/draft.h"

namespace bitnet {

// Drafts of one step whose cost is measured: with the sampled token they fill one reading of the head.
constexpr std::size_t most_measured_drafts = 7;

// What steps took lately, by the number of their drafts. Belongs to an engine and its threads.
class StepCosts {
 public:
  void record(std::size_t drafts, double seconds);  // 0 to most_measured_drafts

  // False until steps without drafts were measured: then nothing can be said.
  bool known() const { return plain_.count() >= 3; }
  // The seconds of a step with `drafts` drafts over those of one without; between and beyond what was measured, a straight
  // line.
  double ratio(std::size_t drafts) const;
  std::size_t measured(std::size_t drafts) const { return ratios_[drafts - 1].count(); }  // times, of the last few

 private:
  // The lower quartile of the last few values: what disturbs a measurement makes it longer, never shorter.
  class Recent {
   public:
    explicit Recent(std::size_t most) : most_(most) {}
    void add(double value);
    std::size_t count() const { return values_.size(); }
    double typical() const;

   private:
    std::size_t most_, next_ = 0;
    std::vector<double> values_;
  };
  Recent plain_{16};  // seconds
  std::array<Recent, most_measured_drafts> ratios_{Recent(6), Recent(6), Recent(6), Recent(6), Recent(6), Recent(6), Recent(6)};
};

// Weighs what steps cost against how often drafts of the same kind came true in this text. Every draft is held against the text
// that came, also one that was not verified: learning that drafts do not pay costs nothing. Not thread safe.
class DraftPolicy {
 public:
  // `costs` must outlive it.
  explicit DraftPolicy(StepCosts& costs);

  // How many of `draft`'s tokens to verify in the next step; 0 where that would not pay.
  std::size_t choose(const Draft& draft);

  // What the step with so many drafts took.
  void took(std::size_t drafts, double seconds);

  // The next token of the text, whoever found it.
  void saw(TokenId id);

 private:
  // How often the draft's token at a place came true where all before it had.
  struct Rate {
    double hits, trials;
    double value() const { return hits / trials; }
  };
  static constexpr std::size_t kinds = 6;  // of drafts, by how much text before them agreed

  static std::size_t kind_of(const Draft& draft);
  void watch(const Draft& draft);
  double expected_tokens(std::size_t kind, std::size_t drafts) const;

  StepCosts& costs_;
  std::array<std::array<Rate, most_measured_drafts>, kinds> rates_;
  Draft watched_;               // held against the text as it comes
  std::size_t watched_at_ = 0;  // its next token
  int since_plain_ = 0;         // steps with drafts since one without was measured
  int refused_ = 0, patience_;  // steps that might have paid if costs had fallen, and how many are let pass before one tries
};

}  // namespace bitnet
