// Steps of elementwise layers on the CPU.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/cpu/share_work.h"
#include "engine/layer.h"

namespace engine::cpu {

/// A step whose `count` output elements `range` computes in any pieces, shared out among threads.
/// `seconds` is what all of them take one thread; `overwrites` is Step::overwrites.
Step elementwise_step(std::string kernel, int64_t count, double seconds, int overwrites,
                      std::function<void(const StepContext&, int64_t, int64_t)> range);

}  // namespace engine::cpu
