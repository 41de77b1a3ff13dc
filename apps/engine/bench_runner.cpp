#include "apps/engine/bench_runner.h"

#include <chrono>
#include <deque>

#include "apps/engine/random_inputs.h"
#include "engine/cuda/runtime.h"
#include "engine/engine_state.h"

namespace engine::cli {
namespace {

using std::chrono::steady_clock;

double seconds_since(steady_clock::time_point start) {
  return std::chrono::duration<double>(steady_clock::now() - start).count();
}

}  // namespace

BenchRunner::BenchRunner(const Engine& engine, const std::vector<Shape>& input_shapes)
    : engine_(engine), session_(engine.new_session()), plan_(session_.plan_for(input_shapes)) {
  const Device device = engine.options().device;
  constexpr uint64_t kSeed = 1;
  for (const Tensor& input : random_inputs(engine.state()->graph, input_shapes, kSeed)) {
    inputs_.push_back(input.to(device));
  }
  for (const TensorSpec& spec : plan_->outputs) {
    outputs_.push_back(Tensor::empty(spec.shape, spec.dtype, device));
  }
}

double BenchRunner::run_once() {
  const Device device = engine_.options().device;
  if (!device.is_cuda()) return run_back_to_back(1);
  cuda::Timer timer(device);
  timer.start(session_.stream());
  session_.run_into(inputs_, outputs_);
  timer.stop(session_.stream());
  session_.synchronize();
  return timer.milliseconds() / 1e3;
}

double BenchRunner::run_back_to_back(int64_t runs) {
  const auto start = steady_clock::now();
  for (int64_t i = 0; i < runs; ++i) session_.run_into(inputs_, outputs_);
  session_.synchronize();
  return seconds_since(start);
}

std::vector<double> BenchRunner::run_profiled() {
  std::vector<double> seconds =
      engine_.options().device.is_cuda() ? profile_on_gpu() : profile_on_cpu();
  session_.set_observer({});
  return seconds;
}

std::vector<double> BenchRunner::profile_on_cpu() {
  std::vector<double> seconds(plan_->steps.size());
  steady_clock::time_point start;
  session_.set_observer({[&](size_t) { start = steady_clock::now(); },
                         [&](size_t step) { seconds[step] = seconds_since(start); }});
  session_.run_into(inputs_, outputs_);
  return seconds;
}

std::vector<double> BenchRunner::profile_on_gpu() {
  std::deque<cuda::Timer> timers;
  for (size_t i = 0; i < plan_->steps.size(); ++i) timers.emplace_back(engine_.options().device);
  session_.set_observer({[&](size_t step) { timers[step].start(session_.stream()); },
                         [&](size_t step) { timers[step].stop(session_.stream()); }});
  session_.run_into(inputs_, outputs_);
  session_.synchronize();
  std::vector<double> seconds;
  for (const cuda::Timer& timer : timers) seconds.push_back(timer.milliseconds() / 1e3);
  return seconds;
}

}  // namespace engine::cli
