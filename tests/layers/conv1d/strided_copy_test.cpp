#include "layers/conv1d/cpu/strided_copy.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <numeric>
#include <vector>

namespace engine::test {
namespace {

// Floats that end where memory does: who reads on is stopped.
class LastFloats {
 public:
  explicit LastFloats(int64_t count) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t bytes = static_cast<size_t>(count) * sizeof(float);
    bytes_ = (bytes + page - 1) / page * page + page;
    memory_ = static_cast<std::byte*>(
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(memory_ != MAP_FAILED);
    REQUIRE(mprotect(memory_ + bytes_ - page, page, PROT_NONE) == 0);
    data_ = reinterpret_cast<float*>(memory_ + bytes_ - page - bytes);
    std::iota(data_, data_ + count, 1.0f);
  }
  ~LastFloats() { munmap(memory_, bytes_); }
  LastFloats(const LastFloats&) = delete;
  LastFloats& operator=(const LastFloats&) = delete;

  const float* data() const { return data_; }

 private:
  std::byte* memory_;
  size_t bytes_;
  float* data_;
};

TEST_CASE("a strided copy takes every n-th value and reads nothing behind the last one") {
  for (const int64_t stride : {1, 2, 3, 4, 5, 8, 160}) {
    for (int64_t count = 1; count <= 70; ++count) {
      const LastFloats source((count - 1) * stride + 1);
      std::vector<float> target(static_cast<size_t>(count) + 1, -1.0f);
      cpu::strided_copy(source.data(), stride, count, target.data());
      for (int64_t i = 0; i < count; ++i) {
        REQUIRE(target[static_cast<size_t>(i)] == static_cast<float>(i * stride + 1));
      }
      REQUIRE(target.back() == -1.0f);
    }
  }
}

}  // namespace
}  // namespace engine::test
