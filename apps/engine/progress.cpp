#include "apps/engine/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

namespace engine::cli {
namespace {

using std::chrono::steady_clock;

constexpr auto kPatience = std::chrono::seconds(2);
constexpr auto kInterval = std::chrono::milliseconds(200);
constexpr const char* kClearLine = "\r\033[K";

}  // namespace

Progress::Progress(std::string task) : task_(std::move(task)) {
  if (::isatty(STDERR_FILENO) == 1) watcher_ = std::thread([this] { watch(); });
}

Progress::~Progress() {
  if (!watcher_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  done_changed_.notify_one();
  watcher_.join();
}

void Progress::watch() {
  const auto start = steady_clock::now();
  const auto is_done = [this] { return done_; };
  std::unique_lock lock(mutex_);
  if (done_changed_.wait_for(lock, kPatience, is_done)) return;
  do {
    const double fraction = fraction_;
    const double seconds = std::chrono::duration<double>(steady_clock::now() - start).count();
    const std::string state = fraction >= 0.0 ? fmt::format("{:.0f} %", 100.0 * fraction)
                                              : fmt::format("{:.0f} s", seconds);
    std::fputs(fmt::format("{}{} ... {}", kClearLine, task_, state).c_str(), stderr);
  } while (!done_changed_.wait_for(lock, kInterval, is_done));
  std::fputs(kClearLine, stderr);
}

}  // namespace engine::cli
