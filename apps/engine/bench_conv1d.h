// engine bench --conv1d: the Conv1d kernels alone, over a file of problems.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace engine::cli {

struct Conv1dBenchOptions {
  std::string suite;   ///< a file, or empty
  int64_t random = 0;  ///< problems to draw beside it
  uint64_t seed = 1;   ///< of those, and of all data
  std::string device = "auto";
  std::vector<std::string> precisions;  ///< none: all that the device has
  int threads = 0;                      ///< of the CPU; 0: all
  std::string kernel;                   ///< in place of the engine's choice
  bool all_kernels = false;
  std::vector<std::string> shapes;  ///< names of the cases to measure; none: all
  double seconds = 0.1;             ///< for each measurement
  bool json = false;
  std::string csv;  ///< file to write, or empty
};

/// Measures and prints. Returns the exit code: 1 where a kernel failed or computed something else
/// than the convolution. Throws Error.
int run_conv1d_bench(const Conv1dBenchOptions& options);

}  // namespace engine::cli
