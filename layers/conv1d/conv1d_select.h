// The table of Conv1d kernels, and the choice among them.
//
// A kernel is one row: what it can do, what it would cost, and how to ready it. Tests and
// benchmarks walk the table, so a new row is covered without being told to them. The choice depends
// on the problem alone, never on timing: the same problem always runs the same kernel.
#pragma once

#include <string>
#include <vector>

#include "engine/layer.h"
#include "layers/conv1d/conv1d_problem.h"

namespace engine {

struct Conv1dKernel {
  const char* name;  ///< op + algorithm + device
  Device::Type device;
  bool (*can_implement)(const Conv1dProblem& problem);
  /// Predicted time in seconds on the machine that the cost model is written for. Only comparisons
  /// between rows of one device mean anything.
  double (*seconds)(const Conv1dProblem& problem);
  /// The Step for a problem that the row can implement: its workspace, and enqueue over input x and
  /// output y. Weights come from `context`; kernel and reason are left to the caller.
  Step (*prepare)(const Conv1dProblem& problem, const PrepareContext& context);
};

/// Every row of this build, for all devices; rows for another kind of GPU than the machine's are left
/// out.
const std::vector<Conv1dKernel>& conv1d_kernels();

struct Conv1dChoice {
  const Conv1dKernel* kernel;
  std::string reason;  ///< predicted times of all rows that could compute it, cheapest first
};

/// The row with the least predicted time, or the one named `wanted` where it can compute the
/// problem. Throws Error(kUnsupported) where no row can, and Error(kInvalidArgument) where the
/// device has no row of the name wanted.
Conv1dChoice select_conv1d(const Conv1dProblem& problem, Device::Type device,
                           const std::string& wanted = "");

/// Names of the device's rows.
std::vector<std::string> conv1d_kernel_names(Device::Type device);

}  // namespace engine
