// Tensors of the emulated tests.
#pragma once

#include <cstdint>
#include <vector>

namespace engine::test {

/// Elements with a guard band around them, at an offset of `shift` elements from 16 bytes.
template <typename T>
class Guarded {
 public:
  Guarded(int64_t count, int64_t shift, float guard)
      : memory_(static_cast<size_t>(count + 2 * kGuard), static_cast<T>(guard)), count_(count) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.data() + kGuard / 2);
    first_ = reinterpret_cast<T*>((address + 15) / 16 * 16) + shift;
  }
  T* data() { return first_; }
  bool is_guard_intact(float guard) const {
    for (const T& value : memory_) {
      const bool inside = &value >= first_ && &value < first_ + count_;
      if (!inside && static_cast<float>(value) != static_cast<float>(static_cast<T>(guard))) {
        return false;
      }
    }
    return true;
  }

 private:
  static constexpr int64_t kGuard = 128;
  std::vector<T> memory_;
  int64_t count_;
  T* first_;
};

}  // namespace engine::test
