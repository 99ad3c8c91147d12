// Hashes and examines weights for the inspection report.
#include "cli/inspect_weights.h"

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "common/cpu_set.h"
#include "common/sha256.h"
#include "models/weight_check.h"

namespace bitnet::cli {
namespace {

constexpr std::size_t step = 8u << 20;

// Lets the pages go on the way.
std::string hash(std::span<const std::byte> bytes, const MappedFile& map, const ByteProgress& progress) {
  Sha256 sha;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    const auto part = bytes.subspan(at, std::min(step, bytes.size() - at));
    sha.update(part);
    map.discard(part);
    progress(part.size());
  }
  return sha.hex();
}

// Only where something here computes with the tensor as it is.
std::optional<SourceWeight> weight_of(const StoredTensor& tensor, const ModelFiles& files) {
  if (!tensor.data_type || tensor.shape.dims.empty() || tensor.shape.elements() == 0) return std::nullopt;
  SourceWeight weight{std::string(tensor.name), weight_role(tensor.name), tensor.view()};
  weight.map = &files.map(tensor.file);
  return weight;
}

}  // namespace

void add_hashes(Json& report, const ModelFiles& files) {
  ProgressBar bar("hashing", "bytes");
  std::uint64_t done = 0;
  const auto progress = [&](std::uint64_t bytes) {
    stop_if_interrupted();
    bar.update(done += bytes, 2 * files.bytes());
  };
  for (std::size_t i = 0; i < files.tensors().size(); ++i) {
    const StoredTensor& tensor = files.tensors()[i];
    report["tensors"][i]["sha256"] = hash(tensor.bytes, files.map(tensor.file), progress);
  }
  Json list = Json::array();
  for (std::uint32_t i = 0; i < files.file_count(); ++i) {
    const MappedFile& map = files.map(i);
    list.push_back({{"path", map.path()}, {"bytes", map.bytes().size()}, {"sha256", hash(map.bytes(), map, progress)}});
  }
  report["sha256"] = std::move(list);
}

std::size_t add_check(Json& report, const ModelFiles& files) {
  ProgressBar bar("checking", "bytes");
  ThreadPool pool(thread_count(0));
  std::uint64_t done = 0;
  Json damaged = Json::array();
  std::size_t checked = 0;
  for (const StoredTensor& tensor : files.tensors()) {
    stop_if_interrupted();
    const auto weight = weight_of(tensor, files);
    checked += weight ? 1 : 0;
    const std::vector<std::string> problems = weight ? weight_problems(*weight, pool) : std::vector<std::string>();
    if (!problems.empty()) damaged.push_back({{"name", tensor.name}, {"problems", problems}});
    bar.update(done += tensor.bytes.size(), files.bytes());
  }
  const std::size_t count = damaged.size();
  report["check"] = {{"tensors", checked}, {"damaged", std::move(damaged)}};
  return count;
}

}  // namespace bitnet::cli
