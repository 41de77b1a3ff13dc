// Element types by size, for kernels that only move elements.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>

namespace engine::cuda {

/// Calls `body` with a null pointer to a plain type of 2, 4, 8 or 16 bytes, so that launch
/// functions choose their template: `with_raw_type(bytes, [&](auto* t) {...})`.
template <typename Body>
void with_raw_type(int64_t bytes, Body&& body) {
  switch (bytes) {
    case 2:
      return body(static_cast<uint16_t*>(nullptr));
    case 4:
      return body(static_cast<uint32_t*>(nullptr));
    case 8:
      return body(static_cast<uint64_t*>(nullptr));
    case 16:
      return body(static_cast<uint4*>(nullptr));
    default:
      throw std::logic_error("with_raw_type: no element has this size");
  }
}

}  // namespace engine::cuda
