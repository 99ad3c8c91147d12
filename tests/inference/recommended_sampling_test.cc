// Recommended sampling: what files say comes before the sampler's defaults, in either container's words, and is checked.
#include "inference/recommended_sampling.h"

#include <gmock/gmock.h>

#include "common/error.h"
#include "support/gguf_builder.h"
#include "support/temp_folder.h"

namespace bitnet {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

class RecommendedSampling : public testing::Test {
 protected:
  RecommendedSampling() { folder.put("config.json", "{}"); }

  HuggingFaceFolder open(const std::string& generation_config) {
    folder.put("generation_config.json", generation_config);
    return HuggingFaceFolder::open(folder.path());
  }
  SamplingParams of_folder(const std::string& generation_config) { return recommended_sampling(open(generation_config)); }
  static SamplingParams of_file(const test::GgufBuilder& builder) {
    const test::TempFile file(builder.bytes());
    return recommended_sampling(GgufFile::open(file.path()));
  }

  test::TempFolder folder;
};

TEST_F(RecommendedSampling, AFileThatRecommendsNothingLeavesTheDefaults) {
  const SamplingParams params = of_file({});
  EXPECT_EQ(params.temperature, SamplingParams().temperature);
  EXPECT_EQ(params.top_k, SamplingParams().top_k);
  EXPECT_EQ(of_folder(R"({"eos_token_id": 4, "temperature": null})").temperature, SamplingParams().temperature);
}

TEST_F(RecommendedSampling, KeysOfAGgufFileReplaceDefaultsWhateverTheirNumbersType) {
  test::GgufBuilder builder;
  builder.f32("general.sampling.temp", 0.5f);
  builder.u32("general.sampling.top_k", 7);
  builder.f32("general.sampling.penalty_repeat", 1.25f);
  builder.f32("general.sampling.penalty_last_n", -1);
  const SamplingParams params = of_file(builder);
  EXPECT_EQ(params.temperature, 0.5f);
  EXPECT_EQ(params.top_k, 7);
  EXPECT_EQ(params.repeat_penalty, 1.25f);
  EXPECT_EQ(params.repeat_last_n, -1);
  EXPECT_EQ(params.top_p, SamplingParams().top_p);
}

TEST_F(RecommendedSampling, EntriesOfAFolderReplaceDefaults) {
  const SamplingParams params =
      of_folder(R"({"do_sample": true, "temperature": 0.6, "top_p": 0.9, "top_k": -1, "repetition_penalty": 1.1})");
  EXPECT_EQ(params.temperature, 0.6f);
  EXPECT_EQ(params.top_p, 0.9f);
  EXPECT_EQ(params.top_k, 0);
  EXPECT_EQ(params.repeat_penalty, 1.1f);
  EXPECT_EQ(params.repeat_last_n, -1);
  EXPECT_EQ(of_folder(R"({"do_sample": false, "temperature": 0.6})").temperature, 0);
  EXPECT_EQ(of_folder(R"({"temperature": -1})").temperature, 0);
}

TEST_F(RecommendedSampling, IsTheSameInTheOtherContainersWords) {
  const std::string config = R"({"temperature": 0.6, "top_k": 9, "repetition_penalty": 1.1, "typical_p": 0.5})";
  test::GgufBuilder builder;
  GgufMetadata metadata;
  add_recommended_sampling(metadata, open(config));
  EXPECT_EQ(metadata.size(), 4u);
  builder.f32("general.sampling.temp", 0.6f);
  builder.u32("general.sampling.top_k", 9);
  builder.f32("general.sampling.penalty_repeat", 1.1f);
  const test::TempFile file(builder.bytes());
  const Json back = recommended_generation_config(GgufFile::open(file.path()));
  EXPECT_EQ(back, Json({{"temperature", 0.6f}, {"top_k", 9}, {"repetition_penalty", 1.1f}, {"do_sample", true}}));
  const test::TempFile none(test::GgufBuilder().bytes());
  EXPECT_EQ(recommended_generation_config(GgufFile::open(none.path())), Json::object());
}

TEST_F(RecommendedSampling, WhatCannotBeIsRefusedByName) {
  const auto refuses = [&](const std::string& config, const std::string& words) {
    EXPECT_THAT([&] { of_folder(config); }, ThrowsMessage<Error>(HasSubstr("generation_config.json: " + words))) << config;
  };
  refuses(R"({"temperature": "hot"})", "temperature must be a number");
  refuses(R"({"temperature": 1e9})", "recommends settings that cannot be: temperature is");
  refuses(R"({"top_p": 0})", "recommends settings that cannot be: top_p is 0");
  refuses(R"({"top_k": 1.5})", "top_k is 1.5, it must be a whole number");
  refuses(R"({"top_k": 1e300})", "top_k is 1e+300, it must be a whole number");
  test::GgufBuilder builder;
  builder.f32("general.sampling.temp", std::nanf(""));
  EXPECT_THAT([&] { of_file(builder); }, ThrowsMessage<Error>(HasSubstr("temperature is nan")));
  builder = {};
  builder.text("general.sampling.top_k", "many");
  EXPECT_THAT([&] { of_file(builder); }, ThrowsMessage<Error>(HasSubstr("general.sampling.top_k")));
}

}  // namespace
}  // namespace bitnet
