#include "apps/engine/machine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/cpu/host_memory.h"
#include "engine/error.h"

namespace engine::cli {
namespace {

constexpr double kRoundSeconds = 2e-3;
constexpr double kLongestRound = 0.25;
constexpr double kShortCall = 0.5e-3;  // launches cost time beside calls below it
constexpr double kWarmUpShare = 0.2;   // of the budget
constexpr size_t kLeastRounds = 3;

DeviceInfo info_of(Device device) {
  return device.is_cuda() ? cuda::device_info(device.index) : list_devices().front();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

Machine::Machine(Device device, int threads) : info_(info_of(device)), threads_(threads) {
  if (!device.is_cuda()) return;
  stream_ = std::make_unique<cuda::Stream>(device);
  timer_ = std::make_unique<cuda::Timer>(device);
}

std::shared_ptr<void> Machine::allocate(int64_t bytes) const {
  if (device().is_cuda()) return cuda::allocate(device(), bytes);
  std::shared_ptr<void> memory = allocate_host(bytes);
  if (!memory) throw Error(ErrorKind::kOutOfMemory, "out of memory");
  return memory;
}

void Machine::copy(void* target, const void* source, int64_t bytes) const {
  if (device().is_cuda()) {
    cuda::copy_async(target, source, bytes, device(), stream());
  } else {
    std::memcpy(target, source, static_cast<size_t>(bytes));
  }
}

void Machine::fill(void* target, int value, int64_t bytes) const {
  if (device().is_cuda()) {
    cuda::fill_async(target, value, bytes, device(), stream());
  } else {
    std::memset(target, value, static_cast<size_t>(bytes));
  }
}

void Machine::wait() const {
  if (stream_) stream_->synchronize();
}

double Machine::seconds_of(const std::function<void()>& work) const {
  if (stream_) {
    timer_->start(stream());
    work();
    timer_->stop(stream());
    wait();
    return timer_->milliseconds() / 1e3;
  }
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Machine::median_seconds(int64_t sets, double budget,
                               const std::function<void(int64_t)>& enqueue) {
  enqueue(0);  // loads code
  const double once = seconds_of([&] { enqueue(0); });
  // What takes so long for its bytes is not limited by where they come from.
  sets = std::clamp(static_cast<int64_t>(kLongestRound / once), int64_t{1}, sets);
  const double per_cycle = once * static_cast<double>(sets);
  const auto calls = sets * static_cast<int64_t>(std::clamp(kRoundSeconds / per_cycle, 1.0, 1e3));
  const auto round = [&] {
    for (int64_t i = 0; i < calls; ++i) enqueue(i % sets);
  };
  std::unique_ptr<cuda::Graph> graph;
  if (stream_ && once < kShortCall) graph = std::make_unique<cuda::Graph>(*stream_, round);
  const auto timed_round = [&] {
    return graph ? seconds_of([&] { graph->launch(stream()); }) : seconds_of(round);
  };
  for (double spent = timed_round(); spent < kWarmUpShare * budget;) spent += timed_round();
  std::vector<double> rounds;
  for (double spent = 0.0; rounds.size() < kLeastRounds || spent < budget;) {
    rounds.push_back(timed_round());
    spent += rounds.back();
  }
  return median(rounds) / static_cast<double>(calls);
}

}  // namespace engine::cli
