#include "layers/conv1d/cpu/strided_copy.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <numeric>
#include <utility>
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

TEST_CASE("deinterleaving takes the wanted remainders and reads nothing behind the last one") {
  for (const auto& [stride, width] : {std::pair<int64_t, int64_t>{2, 2},
                                      {3, 3},
                                      {4, 4},
                                      {5, 4},
                                      {5, 5},
                                      {8, 8},
                                      {10, 7},
                                      {160, 32}}) {
    CAPTURE(stride);
    CAPTURE(width);
    for (int64_t count = 1; count <= 40; ++count) {
      const LastFloats source((count - 1) * stride + width);
      // Every third remainder is not wanted.
      std::vector<int32_t> places;
      int32_t end = 0;
      for (int64_t r = 0; r < width; ++r) {
        const bool wanted = r % 3 != 1;
        places.push_back(wanted ? end : -1);
        if (wanted) end += static_cast<int32_t>(count) + 1;
      }
      std::vector<float> row(static_cast<size_t>(end), -1.0f);
      cpu::deinterleave(source.data(), stride, width, count, row.data(), places.data());
      for (int64_t r = 0; r < width; ++r) {
        const int32_t place = places[static_cast<size_t>(r)];
        if (place < 0) continue;
        for (int64_t i = 0; i < count; ++i) {
          REQUIRE(row[static_cast<size_t>(place + i)] == static_cast<float>(i * stride + r + 1));
        }
        REQUIRE(row[static_cast<size_t>(place + count)] == -1.0f);
      }
    }
  }
}

}  // namespace
}  // namespace engine::test
