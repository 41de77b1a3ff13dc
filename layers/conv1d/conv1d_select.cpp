#include "layers/conv1d/conv1d_select.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "layers/conv1d/cpu/conv1d_cpu.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"

namespace engine {
namespace {

std::vector<Conv1dKernel> make_table() {
  std::vector<Conv1dKernel> table = {
      cpu::conv1d_dense(), cpu::conv1d_dense_channels(), cpu::conv1d_winograd(), cpu::conv1d_rows(),
      cpu::conv1d_fft(),   cpu::conv1d_matrix(),         cpu::conv1d_direct()};
  if constexpr (kWithCuda) {
    if (cuda::runs_sm90()) {
      table.push_back(cuda::conv1d_gather_gemm_sm90());
      table.push_back(cuda::conv1d_implicit_gemm_sm90());
      table.push_back(cuda::conv1d_turn_gemm_sm90());
      table.push_back(cuda::conv1d_arranged_gemm_sm90());
    }
    table.push_back(cuda::conv1d_implicit_gemm_sm80());
    table.push_back(cuda::conv1d_direct());
    table.push_back(cuda::conv1d_im2col_cublas());
    table.push_back(cuda::conv1d_pointwise_cublas());
    table.push_back(cuda::conv1d_fft());
    table.push_back(cuda::conv1d_split_reduction());
    table.push_back(cuda::conv1d_depthwise_tiles());
    table.push_back(cuda::conv1d_depthwise_packs());
  }
  return table;
}

const Conv1dKernel& find_kernel(const std::string& name, Device::Type device) {
  for (const Conv1dKernel& kernel : conv1d_kernels()) {
    if (kernel.device == device && name == kernel.name) return kernel;
  }
  throw Error(ErrorKind::kInvalidArgument,
              fmt::format("unknown Conv1d kernel '{}'; this device has {}", name,
                          fmt::join(conv1d_kernel_names(device), ", ")));
}

}  // namespace

const std::vector<Conv1dKernel>& conv1d_kernels() {
  static const std::vector<Conv1dKernel> table = make_table();
  return table;
}

std::vector<std::string> conv1d_kernel_names(Device::Type device) {
  std::vector<std::string> names;
  for (const Conv1dKernel& kernel : conv1d_kernels()) {
    if (kernel.device == device) names.emplace_back(kernel.name);
  }
  return names;
}

Conv1dChoice select_conv1d(const Conv1dProblem& problem, Device::Type device,
                           const std::string& wanted) {
  if (!wanted.empty()) {
    const Conv1dKernel& kernel = find_kernel(wanted, device);
    if (kernel.can_implement(problem)) return {&kernel, "asked for by name"};
  }
  struct Candidate {
    const Conv1dKernel* kernel;
    double seconds;
  };
  std::vector<Candidate> candidates;
  for (const Conv1dKernel& kernel : conv1d_kernels()) {
    if (kernel.device == device && kernel.can_implement(problem)) {
      candidates.push_back({&kernel, kernel.seconds(problem)});
    }
  }
  if (candidates.empty()) {
    throw Error(ErrorKind::kUnsupported, fmt::format("no kernel computes {}", to_string(problem)));
  }
  // Stable, so that the table's order decides between equals.
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.seconds < b.seconds; });
  std::string reason = "predicted us:";
  for (const Candidate& c : candidates) {
    reason += fmt::format(" {} {:.3g}", c.kernel->name, c.seconds * 1e6);
  }
  return {candidates.front().kernel, reason};
}

}  // namespace engine
