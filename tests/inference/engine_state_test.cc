// A session saved and restored goes on to the same bits, and a file that is not what it should be is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <random>

#include "common/error.h"
#include "common/sha256.h"
#include "inference/engine.h"
#include "support/random_model.h"
#include "support/temp_folder.h"

namespace bitnet {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<TokenId> some_ids(std::size_t count) {
  std::mt19937 random(7);
  std::vector<TokenId> ids(count);
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % 256);
  return ids;
}

class EngineState : public testing::Test {
 protected:
  std::unique_ptr<Engine> open(EngineOptions options = {.threads = 1}) { return Engine::open(model_.path(), options); }

  // A session of `count` tokens; what follows them with the logits of every step.
  static Session session_of(Engine& engine, std::size_t count) {
    Session session = engine.new_session();
    if (count > 0) engine.evaluate(session, some_ids(count));
    return session;
  }
  static std::vector<float> go_on(Engine& engine, Session& session) {
    std::vector<float> all;
    for (const std::vector<TokenId>& more : {std::vector<TokenId>{3}, some_ids(70), std::vector<TokenId>{9, 8}}) {
      const LogitSet logits = engine.evaluate(session, more);
      all.insert(all.end(), logits.values.begin(), logits.values.end());
    }
    return all;
  }

  test::TempFile model_{test::RandomModel{}.bytes()};
  test::TempFolder folder_;
};

TEST_F(EngineState, ARestoredSessionGoesOnToTheSameBits) {
  for (const KvType kv : {KvType::f32, KvType::f16, KvType::int8}) {
    for (const std::size_t count : {0u, 1u, 63u, 64u, 65u, 200u}) {
      SCOPED_TRACE(testing::Message() << "kv " << static_cast<int>(kv) << ", " << count << " tokens");
      const auto engine = open({.threads = 1, .kv = kv, .chunk = 512});
      Session session = session_of(*engine, count);
      engine->save(session, folder_ / "state");
      const std::vector<float> expected = go_on(*engine, session);
      for (const int threads : {1, 2, 3}) {
        const auto other = open({.threads = threads, .kv = kv, .chunk = 16});
        Session restored = other->restore(folder_ / "state");
        EXPECT_EQ(restored.ids, some_ids(count));
        EXPECT_EQ(restored.cache->length(), static_cast<std::int64_t>(count));
        EXPECT_EQ(go_on(*other, restored), expected) << threads << " threads";
      }
    }
  }
}

TEST_F(EngineState, GeneratesAsTheSessionThatWasSaved) {
  const auto engine = open();
  GenerateRequest request;
  request.prompt = some_ids(90), request.max_tokens = 30;
  request.sampling.seed = 5;
  Session session = engine->new_session();
  const std::vector<TokenId> first = engine->generate(session, request).ids;
  engine->save(session, folder_ / "state");
  Session restored = engine->restore(folder_ / "state");
  EXPECT_EQ(restored.ids, session.ids);
  request.prompt.insert(request.prompt.end(), first.begin(), first.end());
  const GenerateResult expected = engine->generate(session, request), found = engine->generate(restored, request);
  EXPECT_EQ(found.ids, expected.ids);
  EXPECT_EQ(found.timings.cached_tokens, expected.timings.cached_tokens);
  EXPECT_GE(found.timings.cached_tokens, 90);
}

// What lies behind the last position is not what was there before.
TEST_F(EngineState, EqualSessionsAreEqualBytes) {
  const auto engine = open();
  engine->save(session_of(*engine, 70), folder_ / "a");
  Session longer = session_of(*engine, 120);
  longer.ids.resize(70), longer.cache->set_length(70);
  engine->save(longer, folder_ / "b");
  EXPECT_EQ(bytes_of(folder_ / "a"), bytes_of(folder_ / "b"));
  EXPECT_THAT(folder_.names(), testing::UnorderedElementsAre("a", "b"));
}

TEST_F(EngineState, TheHashIsTheFilesOwn) {
  Sha256 digest;
  digest.update(bytes_of(model_.path()));
  const auto engine = open();
  EXPECT_EQ(engine->model_hash(), digest.hex());
}

TEST_F(EngineState, RefusesWhatBelongsToOthers) {
  const auto engine = open();
  const std::string state = folder_ / "state";
  engine->save(session_of(*engine, 100), state);
  EXPECT_THAT([&] { open({.threads = 1, .kv = KvType::int8})->restore(state); },
              ThrowsMessage<Error>(HasSubstr("holds keys and values as f16, this engine keeps them as int8")));
  test::RandomModel other;
  other.seed = 2;
  const test::TempFile file(other.bytes());
  EXPECT_THAT([&] { Engine::open(file.path(), {.threads = 1})->restore(state); },
              ThrowsMessage<Error>(HasSubstr("was saved with another model")));
  EXPECT_THAT([&] { open({.threads = 1, .n_ctx = 99})->restore(state); },
              ThrowsMessage<Error>(HasSubstr("holds 100 tokens, the context 99")));
  EXPECT_THAT([&] { engine->restore(folder_ / "nothing"); }, ThrowsMessage<Error>(HasSubstr("nothing")));
  EXPECT_THAT([&] { engine->restore(model_.path()); }, ThrowsMessage<Error>(HasSubstr("is no saved state")));
  EXPECT_THAT([&] { engine->restore(folder_.path()); }, ThrowsMessage<Error>(HasSubstr("is a folder, not a file")));
  EXPECT_EQ(engine->kv_pages().used(), 0);
}

// Every damaged copy is refused by name: the checksum covers all of it.
TEST_F(EngineState, RefusesEveryDamagedOrCutCopy) {
  const auto engine = open();
  engine->save(session_of(*engine, 66), folder_ / "state");
  const std::string bytes = bytes_of(folder_ / "state");
  const std::uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto refused = [&](const std::string& damaged) {
    const std::string path = folder_.put("damaged", damaged);
    try {
      engine->restore(path);
      return false;
    } catch (const Error& error) {
      return error.kind() != ErrorKind::runtime && std::string(error.what()).starts_with(path);
    }
  };
  for (int i = 0; i < 400; ++i) {
    std::string damaged = bytes;
    const std::size_t place = i < 200 ? random() % 200 : random() % bytes.size();
    damaged[place] ^= static_cast<char>(1 + random() % 255);
    EXPECT_TRUE(refused(damaged)) << "byte " << place;
  }
  for (int i = 0; i < 200; ++i) {
    const std::size_t size = i < 120 ? static_cast<std::size_t>(i) : random() % bytes.size();
    EXPECT_TRUE(refused(bytes.substr(0, size))) << "cut at " << size;
  }
  EXPECT_TRUE(refused(bytes + "x"));
  EXPECT_FALSE(refused(bytes));
  EXPECT_EQ(engine->kv_pages().used(), 0);
}

// With a checksum that is right, so that the lie itself must be noticed.
TEST_F(EngineState, RefusesHeadersThatLie) {
  const auto engine = open();
  engine->save(session_of(*engine, 66), folder_ / "state");
  const std::string bytes = bytes_of(folder_ / "state");
  const auto lie = [&](std::size_t place, std::uint64_t value, std::size_t size) {
    std::string lying = bytes.substr(0, bytes.size() - 64);
    std::memcpy(lying.data() + place, &value, size);
    Sha256 digest;
    digest.update(lying);
    return folder_.put("lying", lying + digest.hex());
  };
  const auto what = [&](const std::string& path) -> std::string {
    try {
      engine->restore(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(what(lie(8, 2, 4)), HasSubstr("has version 2, this build reads 1"));
  EXPECT_THAT(what(lie(12, 9, 4)), HasSubstr("as unknown"));
  EXPECT_THAT(what(lie(80, 3, 4)), HasSubstr("another model"));
  EXPECT_THAT(what(lie(92, 1, 4)), HasSubstr("the reserved field is not 0"));
  EXPECT_THAT(what(lie(96, std::uint64_t{1} << 62, 8)), HasSubstr("tokens, the context 512"));
  EXPECT_THAT(what(lie(96, 200, 8)), HasSubstr("200 tokens take"));
  EXPECT_THAT(what(lie(96, 0, 8)), HasSubstr("0 tokens take"));
  EXPECT_THAT(what(lie(104, 258, 4)), HasSubstr("is 258, allowed are 0 to 257"));
  EXPECT_THAT(what(lie(104, 0xffffffff, 4)), HasSubstr("is -1, allowed"));
  EXPECT_EQ(what(folder_ / "state"), "");
  EXPECT_EQ(engine->kv_pages().used(), 0);
}

TEST_F(EngineState, WithoutMemoryNothingChanges) {
  const auto engine = open();
  engine->save(session_of(*engine, 200), folder_ / "state");
  const auto page = static_cast<std::uint64_t>(engine->kv_pages().shape().page_bytes());
  const auto small = open({.threads = 1, .n_ctx = 256, .kv_bytes = 4 * page});
  const Session held = session_of(*small, 70);
  EXPECT_THAT([&] { small->restore(folder_ / "state"); }, ThrowsMessage<Error>("all 4 pages of the KV cache are in use"));
  EXPECT_EQ(small->kv_pages().used(), 2);
}

}  // namespace
}  // namespace bitnet
