#include "apps/engine/chrome_trace.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"

namespace engine::cli {

void write_chrome_trace(const std::string& path, const std::string& model, const Plan& plan,
                        const std::vector<double>& seconds) {
  constexpr double kMicroseconds = 1e6;
  using nlohmann::ordered_json;
  ordered_json events = ordered_json::array();
  events.push_back(
      {{"name", "process_name"}, {"ph", "M"}, {"pid", 1}, {"tid", 1}, {"args", {{"name", model}}}});
  double start = 0.0;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const PlanStep& step = plan.steps[i];
    if (!step.step.enqueue) continue;
    std::vector<std::string> inputs;
    std::vector<std::string> outputs;
    for (const TensorSpec& spec : step.input_specs) inputs.push_back(to_string(spec));
    for (const TensorSpec& spec : step.output_specs) outputs.push_back(to_string(spec));
    events.push_back({{"name", step.layer},
                      {"cat", step.type},
                      {"ph", "X"},
                      {"ts", start * kMicroseconds},
                      {"dur", seconds[i] * kMicroseconds},
                      {"pid", 1},
                      {"tid", 1},
                      {"args",
                       {{"type", step.type},
                        {"kernel", step.step.kernel},
                        {"inputs", inputs},
                        {"outputs", outputs},
                        {"flops", step.flops}}}});
    start += seconds[i];
  }
  const ordered_json trace{{"displayTimeUnit", "ns"}, {"traceEvents", std::move(events)}};
  std::ofstream file(path);
  file << trace.dump(1) << '\n' << std::flush;
  if (!file) {
    throw Error(ErrorKind::kIo, fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
  }
}

}  // namespace engine::cli
