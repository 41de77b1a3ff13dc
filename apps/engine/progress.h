// A line on the terminal while something takes long.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace engine::cli {

/// Shows "running ... 42 %" (or the seconds that passed, where nobody says how far it is) on stderr
/// from two seconds on, and clears it when destroyed. Shows nothing where stderr is no terminal.
class Progress {
 public:
  explicit Progress(std::string task);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// How much is done, 0 to 1. May be called from any thread.
  void set(double fraction) { fraction_ = fraction; }

 private:
  void watch();

  std::string task_;
  std::atomic<double> fraction_ = -1.0;  // below 0: not known
  std::mutex mutex_;
  std::condition_variable done_changed_;
  bool done_ = false;
  std::thread watcher_;
};

}  // namespace engine::cli
