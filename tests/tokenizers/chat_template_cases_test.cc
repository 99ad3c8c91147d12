// Renders the templates of a file of cases, so that another implementation can be compared with ours
// (golden/test_chat_templates.py).
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "tokenizers/chat_template.h"

namespace bitnet {
namespace {

// BITNET_TEMPLATE_CASES names a JSON file: [{"template": ..., "context": {...}}, ...]. Beside it goes FILE.out: [{"text": ...}
// or
// {"error": ...}, ...].
TEST(ChatTemplateCases, AreRenderedOnRequest) {
  const char* path = std::getenv("BITNET_TEMPLATE_CASES");
  if (path == nullptr) GTEST_SKIP() << "BITNET_TEMPLATE_CASES is not set";
  std::ifstream file(path);
  const auto cases = nlohmann::ordered_json::parse(file);
  auto results = nlohmann::ordered_json::array();
  for (const auto& c : cases) {
    try {
      results.push_back({{"text", ChatTemplate(c["template"].get<std::string>()).render(c["context"])}});
    } catch (const Error& e) {
      results.push_back({{"error", e.what()}});
    }
  }
  std::ofstream(std::string(path) + ".out") << results.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  EXPECT_EQ(results.size(), cases.size());
}

}  // namespace
}  // namespace bitnet
