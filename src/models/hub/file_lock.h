// FileLock: one process at a time, by flock(2) on a file of its own, as the huggingface_hub library locks.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>

namespace bitnet::hub {

// Released when destroyed, and by the system when the process dies. Move-only. The file stays behind.
class FileLock {
 public:
  FileLock() = default;
  ~FileLock();
  FileLock(FileLock&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  FileLock& operator=(FileLock&& other) noexcept;

  // Makes the file when it is not there; its folder must be. nullopt when somebody else holds it. Throws Error{io}.
  static std::optional<FileLock> attempt(const std::string& path);
  // Waits for it; `on_wait` is called once if that takes time. Throws Error{io}, Error{cancelled}.
  static FileLock wait(const std::string& path, const std::atomic<bool>* cancel, const std::function<void()>& on_wait);

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

// Locks an open file, without waiting. False when somebody else holds it, or when `path` no longer names this file. Throws
// Error{io}.
bool lock_open_file(int descriptor, const std::string& path);

}  // namespace bitnet::hub
