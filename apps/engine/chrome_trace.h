// Traces for chrome://tracing and https://ui.perfetto.dev.
#pragma once

#include <string>
#include <vector>

#include "engine/plan/plan.h"

namespace engine::cli {

/// Writes one event for each step of the plan that runs, laid end to end from time 0. `seconds` has
/// one time for each step. Throws Error(kIo).
void write_chrome_trace(const std::string& path, const std::string& model, const Plan& plan,
                        const std::vector<double>& seconds);

}  // namespace engine::cli
