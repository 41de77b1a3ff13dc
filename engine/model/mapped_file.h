// A whole file, read-only, mapped into memory.
#pragma once

#include <cstddef>
#include <string>

namespace engine {

/// Unmaps on destruction. Thread-safe to read.
class MappedFile {
 public:
  /// Throws Error(kIo) with the path and the system's reason.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace engine
