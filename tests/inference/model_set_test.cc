// Several models in one process: each answers as it would alone, within the limits, and none is freed while somebody uses it.
#include "inference/model_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>

#include "inference/model_folder.h"
#include "support/random_model.h"
#include "support/temp_folder.h"

namespace bitnet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

SequenceRequest request(TokenId first, std::int64_t tokens) {
  SequenceRequest request;
  for (TokenId i = 0; i < 40; ++i) request.generate.prompt.push_back((first + 7 * i) % 256);
  request.generate.max_tokens = tokens;
  request.generate.sampling.seed = static_cast<std::uint64_t>(first);
  request.generate.ignore_eos = true;
  return request;
}

// The ids that come of a request; keeps its own use of the model until then.
std::future<std::vector<TokenId>> submit(const ModelUse& model, const SequenceRequest& asked) {
  const auto ids = std::make_shared<std::promise<std::vector<TokenId>>>();
  SequenceEvents events;
  events.on_finish = [ids, model](const GenerateResult& result, const Error* error) {
    EXPECT_EQ(error, nullptr);
    ids->set_value(result.ids);
  };
  EXPECT_NE(model->scheduler().submit(asked, std::move(events)).ticket, 0u);
  return ids->get_future();
}

class ModelSetTest : public testing::Test {
 protected:
  ModelSetTest() {
    for (std::uint32_t i = 0; i < 3; ++i) {
      test::RandomModel model;
      model.seed = 10 + i, model.n_embd = i == 1 ? 256 : 128;
      files_.push_back(std::make_unique<test::TempFile>(model.bytes()));
    }
  }
  ModelSource source(std::size_t i) const { return {files_[i]->path(), {.threads = 2, .chunk = 32}, {}}; }
  void add_all(ModelSet& models) const {
    for (std::size_t i = 0; i < 3; ++i) models.add(std::string(1, static_cast<char>('a' + i)), source(i));
  }
  std::uint64_t bytes(std::size_t i) const { return Engine::open(files_[i]->path(), {.threads = 1})->weight_bytes(); }
  std::vector<std::unique_ptr<test::TempFile>> files_;
};

std::vector<std::string> open_names(const ModelSet& models) {
  std::vector<std::string> names;
  for (const ModelStatus& status : models.list()) {
    if (status.state == ModelState::open) names.push_back(status.name);
  }
  return names;
}

TEST_F(ModelSetTest, ModelsThatComputeTogetherAnswerAsTheyDoAlone) {
  std::vector<std::vector<TokenId>> expected;
  for (std::size_t i = 0; i < 12; ++i) {
    const auto engine = Engine::open(files_[i % 2]->path(), {.threads = 1});
    Session session = engine->new_session();
    expected.push_back(engine->generate(session, request(static_cast<TokenId>(i), 60).generate).ids);
  }
  ModelSet models;
  add_all(models);
  const ModelUse two[] = {models.open("a"), models.open("b")};
  const ModelUse embedding = models.open("c");
  std::vector<std::future<std::vector<TokenId>>> found;
  std::promise<std::vector<float>> vector;
  for (std::size_t i = 0; i < expected.size(); ++i) found.push_back(submit(two[i % 2], request(static_cast<TokenId>(i), 60)));
  embedding->scheduler().call([&] {
    const std::vector<std::vector<TokenId>> texts = {{1, 2, 3}};
    embedding->engine().embed(texts, {},
                              [&](std::size_t, std::span<const float> v) { vector.set_value({v.begin(), v.end()}); });
  });
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(found[i].get(), expected[i]) << i;
  EXPECT_EQ(vector.get_future().get().size(), 128u);
}

TEST_F(ModelSetTest, NamesLeadToModels) {
  ModelSet one;
  one.add("a", source(0));
  EXPECT_EQ(one.name_for("gpt-4"), "a");
  EXPECT_EQ(one.name_for(""), "a");
  ModelSet several;
  add_all(several);
  EXPECT_EQ(several.name_for("b"), "b");
  EXPECT_EQ(several.name_for(""), "a");
  EXPECT_EQ(several.name_for("gpt-4"), std::nullopt);
  EXPECT_THAT([&] { several.add("a", source(0)); }, ThrowsMessage<Error>("two models have the name 'a'"));
  EXPECT_THAT([&] { several.open("d"); }, ThrowsMessage<Error>("there is no model 'd' here"));
  EXPECT_EQ(several.find("a"), nullptr);
}

TEST_F(ModelSetTest, AFileThatIsNoModelIsAnErrorAndTheOthersGoOn) {
  const test::TempFile broken("no model");
  ModelSet models;
  models.add("broken", {broken.path()});
  models.add("a", source(0));
  EXPECT_THAT([&] { models.open("broken"); }, ThrowsMessage<Error>(HasSubstr(broken.path())));
  EXPECT_EQ(submit(models.open("a"), request(1, 5)).get().size(), 5u);
}

TEST_F(ModelSetTest, TheLongestUnusedMakesRoomAndOneInUseNever) {
  ModelSet models({.most_open = 2});
  add_all(models);
  ModelUse a = models.open("a");
  models.open("b");
  models.open("c");
  EXPECT_THAT(open_names(models), ElementsAre("a", "c"));
  const ModelUse c = models.find("c");
  EXPECT_THAT([&] { models.open("b"); },
              ThrowsMessage<Error>("model 'b' would be one more than the 2 that may be open, which are in use: 'a', 'c'"));
  a = nullptr;
  models.open("b");
  EXPECT_THAT(open_names(models), ElementsAre("b", "c"));
}

TEST_F(ModelSetTest, AUseThatEndsAMomentLaterMakesRoom) {
  ModelSet models({.most_open = 1});
  add_all(models);
  ModelUse a = models.open("a");
  std::promise<ModelUse> opened;
  models.open("b", [&](ModelUse model, const ModelFailure*) { opened.set_value(std::move(model)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));  // in which the set finds no room
  a = nullptr;
  EXPECT_NE(opened.get_future().get(), nullptr);
  EXPECT_THAT(open_names(models), ElementsAre("b"));
}

TEST_F(ModelSetTest, MemoryIsBoundedAndTheRefusalTellsFigures) {
  ModelSet models({.most_bytes = std::max(bytes(0) + bytes(2), bytes(1)) + 1000});
  add_all(models);
  models.open("a"), models.open("c");
  models.open("b");  // takes more than either
  EXPECT_THAT(open_names(models), testing::Contains("b"));
  const ModelUse b = models.find("b");
  EXPECT_THAT([&] { models.open("a"); },
              ThrowsMessage<Error>(testing::AllOf(HasSubstr("MiB, models may take"), HasSubstr("in use: 'b' with"))));
  std::uint64_t held = 0;
  for (const ModelStatus& status : models.list()) held += status.bytes;
  EXPECT_LE(held, std::max(bytes(0) + bytes(2), bytes(1)) + 1000);
  EXPECT_GE(held, bytes(1));
}

TEST_F(ModelSetTest, OneThatIsClosedServesItsUsersToTheEnd) {
  ModelSet models;
  add_all(models);
  ModelUse a = models.open("a");
  EXPECT_EQ(models.list().front().users, 1);
  auto ids = submit(a, request(3, 200));
  EXPECT_TRUE(models.close("a"));
  EXPECT_FALSE(models.close("a"));
  EXPECT_EQ(models.find("a"), nullptr);
  EXPECT_EQ(models.list().front().state, ModelState::closing);
  EXPECT_EQ(ids.get().size(), 200u);
  std::promise<ModelUse> again;
  models.open("a", [&](ModelUse model, const ModelFailure*) { again.set_value(std::move(model)); });
  EXPECT_EQ(models.list().front().state, ModelState::closing);  // waits for the last user
  a = nullptr;
  const ModelUse reopened = again.get_future().get();
  EXPECT_EQ(submit(reopened, request(3, 20)).get().size(), 20u);
}

TEST_F(ModelSetTest, OneThatNobodyUsesIsClosedAfterAWhile) {
  ModelSet models({.idle_time = std::chrono::seconds(1)});
  add_all(models);
  const ModelUse a = models.open("a");
  models.open("b");
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (open_names(models).size() > 1 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_THAT(open_names(models), ElementsAre("a"));
}

TEST_F(ModelSetTest, AFolderGivesItsModelsByNameAndNothingElse) {
  const test::TempFolder folder;
  std::filesystem::copy(files_[0]->path(), folder / "small.gguf");
  std::filesystem::copy(files_[1]->path(), folder / "split-00001-of-00002.gguf");
  std::filesystem::copy(files_[1]->path(), folder / "split-00002-of-00002.gguf");
  std::filesystem::copy(files_[0]->path(), folder / ".hidden.gguf");
  std::filesystem::create_directory(folder / "empty");
  EXPECT_THAT(models_in(folder.path()), ElementsAre("small", "split"));
  for (const char* name : {"", ".", "..", "../small", "small.gguf", "/etc/passwd", ".hidden", "empty", "split-00002-of-00002"})
    EXPECT_EQ(model_in(folder.path(), name), std::nullopt) << name;
  ModelSetOptions options;
  options.folder = folder.path();
  options.in_folder = source(0);
  ModelSet models(std::move(options));
  EXPECT_EQ(models.name_for(""), std::nullopt);
  EXPECT_EQ(models.name_for("other"), std::nullopt);
  EXPECT_EQ(models.name_for("small"), "small");
  EXPECT_EQ(models.list().size(), 2u);
  EXPECT_EQ(submit(models.open("small"), request(1, 5)).get().size(), 5u);
  EXPECT_THAT([&] { models.open("../small"); }, ThrowsMessage<Error>("there is no model '../small' here"));
}

TEST_F(ModelSetTest, StoppingEndsWhatRunsAndOpensNothingMore) {
  ModelSet models;
  add_all(models);
  ModelUse a = models.open("a");
  auto ids = submit(a, request(1, 400));
  models.stop(false);
  EXPECT_LE(ids.get().size(), 400u);
  while (!models.stopped()) std::this_thread::yield();
  EXPECT_THAT([&] { models.open("b"); }, ThrowsMessage<Error>("no model is opened any more"));
  EXPECT_NE(models.find("a"), nullptr);
}

// Under ThreadSanitizer, too: many callers that open, use and close models that hardly find room.
TEST_F(ModelSetTest, ThreadsOpenUseAndCloseAtTheSameTime) {
  std::vector<std::vector<TokenId>> expected;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto engine = Engine::open(files_[i]->path(), {.threads = 1});
    Session session = engine->new_session();
    expected.push_back(engine->generate(session, request(9, 12).generate).ids);
  }
  ModelSet models({.most_open = 2});
  add_all(models);
  std::atomic<int> answered{0}, refused{0};
  std::vector<std::thread> callers;
  for (std::size_t c = 0; c < 4; ++c) {
    callers.emplace_back([&, c] {
      for (std::size_t i = 0; i < 8; ++i) {
        const std::size_t which = (c + i) % 3;
        const std::string name(1, static_cast<char>('a' + which));
        try {
          const ModelUse model = models.open(name);
          EXPECT_EQ(submit(model, request(9, 12)).get(), expected[which]);
          ++answered;
        } catch (const Error& error) {
          EXPECT_THAT(error.what(), HasSubstr("that may be open"));
          ++refused;
        }
        if (i % 3 == 0) models.close(name);
        models.list();
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(answered + refused, 32);
  EXPECT_GT(answered, 0);
}

}  // namespace
}  // namespace bitnet
