// How does a stored weight become a tensor of another type? Decided and checked before anything is written.
#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "common/thread_pool.h"
#include "models/source_model.h"
#include "models/tensor_file.h"
#include "quantization/kernel_config.h"

namespace bitnet {

// The tensor to write and how it is made.
struct WeightPlan {
  enum class How : std::uint8_t { copy, ternary, dense };
  NewTensor tensor;
  How how = How::copy;
  // Beside the tensor, as NAME.scale: what its values are multiplied with. Where a type keeps scales in half precision and
  // this one does not fit, the tensor holds -1, 0 and 1 and the scale stands here, exact.
  std::optional<float> companion;
  Tiling tiling;                        // of TL1 and TL2
  std::optional<TernaryScales> scales;  // of the values in the tensor; ternary, and dense made of ternary
  bool absmean = false;                 // makes the codes of a matrix that is not ternary
};

// Whether a plan may change the values.
enum class Rounding : std::uint8_t {
  none,     // only where the plan says so: codes and scales stay as they are
  dense,    // dense values are rounded to the type
  absmean,  // as dense; and matrices that are not ternary become so when the type is
};

// `tilings` say how TL1 and TL2 are laid out. Throws Error{usage} naming the tensor and what about it the type cannot hold;
// Error{bad_model} for a scale, or the mean of a matrix, that is not finite.
WeightPlan plan_weight(const SourceWeight& weight, DataType type, Rounding rounding, ThreadPool& pool,
                       const KernelConfig& tilings = {});

// Encodes weights one after the other on the pool's threads, while another thread writes what was encoded before. Beside the
// map it needs memory for two encoded matrices or two pieces of a dense one. Not thread safe.
class WeightWriter {
 public:
  // `progress` counts bytes written and may throw to stop.
  WeightWriter(TensorFiles& files, ThreadPool& pool, ByteProgress progress)
      : files_(files), pool_(pool), progress_(std::move(progress)) {}
  ~WeightWriter();
  WeightWriter(const WeightWriter&) = delete;
  WeightWriter& operator=(const WeightWriter&) = delete;

  // As tensor `index` of the files. Throws what encode_ternary, encode_dense_row and TensorFiles::write throw.
  void write(const SourceWeight& weight, const WeightPlan& plan, std::size_t index);
  // A tensor of few bytes.
  void write(std::size_t index, std::span<const std::byte> bytes);
  // Waits for what is still being written.
  void finish();

 private:
  void write_ternary(const SourceWeight& weight, const WeightPlan& plan, std::size_t index);
  void write_dense(const SourceWeight& weight, const WeightPlan& plan, std::size_t index);
  std::vector<std::byte>& next_buffer(std::size_t bytes);
  void start_writing(std::size_t index, std::uint64_t offset, const std::vector<std::byte>& buffer);

  TensorFiles& files_;
  ThreadPool& pool_;
  ByteProgress progress_;
  std::vector<std::byte> buffers_[2];
  int current_ = 0;
  std::future<void> writing_;
  std::uint64_t writing_bytes_ = 0;
};

}  // namespace bitnet
