// Convolutions to measure: suite files and random draws.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "layers/conv1d/conv1d_problem.h"

namespace engine::cli {

/// A convolution with bias by name. Its dtype and precision are set by who measures it.
struct Conv1dCase {
  std::string name;
  Conv1dProblem problem;
};

/// Reads a suite: CSV with a heading that names at least
///   name,batch,in_channels,out_channels,kernel_size,stride,padding,dilation,groups,length
/// and perhaps `transposed` (0 or 1, for ConvTranspose1d); other columns are left alone. Throws
/// Error(kIo), and Error(kInvalidArgument) as "FILE:LINE: what was found, what was expected".
std::vector<Conv1dCase> read_conv1d_suite(const std::string& path);

/// Problems of all kinds (dense, grouped, depthwise, pointwise, with few channels, with long
/// kernels, transposed; sizes round and awkward) that move at most a few hundred megabytes each.
/// The same seed gives the same problems.
std::vector<Conv1dCase> random_conv1d_cases(int64_t count, uint64_t seed);

}  // namespace engine::cli
