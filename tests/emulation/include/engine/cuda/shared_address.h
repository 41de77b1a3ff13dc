// engine/cuda/shared_address.h for the emulator.
#pragma once

#include "tests/emulation/emulator.h"

namespace engine::cuda {

inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(static_cast<const char*>(pointer) - test::emulator::shared_memory());
}

}  // namespace engine::cuda
