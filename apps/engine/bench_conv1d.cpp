#include "apps/engine/bench_conv1d.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "apps/engine/ceilings.h"
#include "apps/engine/console.h"
#include "apps/engine/conv1d_report.h"
#include "apps/engine/conv1d_suite.h"
#include "apps/engine/conv1d_trial.h"
#include "apps/engine/machine.h"
#include "engine/error.h"
#include "engine/model/file_writer.h"
#include "engine/model/nearest_name.h"

namespace engine::cli {
namespace {

std::vector<Precision> precisions_of(const Conv1dBenchOptions& options, Device device) {
  std::vector<Precision> precisions;
  for (const std::string& name : options.precisions) precisions.push_back(parse_precision(name));
  if (!device.is_cuda()) {
    for (const Precision precision : precisions) {
      if (precision == Precision::kFp32) continue;
      throw Error(
          ErrorKind::kUnsupported,
          fmt::format("the CPU computes in fp32 only, found precision {}", to_string(precision)));
    }
    return {Precision::kFp32};
  }
  if (!precisions.empty()) return precisions;
  return {Precision::kFp32, Precision::kTf32, Precision::kFp16, Precision::kBf16};
}

std::vector<Conv1dCase> cases_of(const Conv1dBenchOptions& options) {
  std::vector<Conv1dCase> cases;
  if (!options.suite.empty()) cases = read_conv1d_suite(options.suite);
  for (Conv1dCase& drawn : random_conv1d_cases(options.random, options.seed)) {
    cases.push_back(std::move(drawn));
  }
  if (options.shapes.empty()) return cases;
  std::vector<std::string> names;
  for (const Conv1dCase& one : cases) names.push_back(one.name);
  for (const std::string& wanted : options.shapes) {
    if (std::find(names.begin(), names.end(), wanted) != names.end()) continue;
    throw Error(ErrorKind::kInvalidArgument, fmt::format("--shape {}: no case of that name{}",
                                                         wanted, did_you_mean(wanted, names)));
  }
  std::erase_if(cases, [&](const Conv1dCase& one) {
    return std::find(options.shapes.begin(), options.shapes.end(), one.name) ==
           options.shapes.end();
  });
  return cases;
}

// The largest error that a right kernel comes near: far above rounding, far below a wrong tap.
double error_limit(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return 1e-5;
    case Precision::kTf32:
    case Precision::kFp16:
      return 2e-3;
    case Precision::kBf16:
      return 2e-2;
  }
  return 0.0;
}

// Measures cases, and reports each result as it comes.
class Conv1dBench {
 public:
  explicit Conv1dBench(const Conv1dBenchOptions& options)
      : options_(options),
        machine_(Device::parse(options.device), options.threads),
        noise_(options.seed, machine_),
        precisions_(precisions_of(options, machine_.device())),
        cases_(cases_of(options)) {
    report_.machine = machine_.info();
    report_.threads = machine_.threads().threads();
    report_.ceilings = measure_ceilings(machine_, noise_, precisions_);
  }

  int run() {
    if (!options_.json) print(report_head(report_, cases_));
    for (const Conv1dCase& one : cases_) {
      std::unique_ptr<Conv1dTrial> trial;  // of the dtype measured last
      DType dtype = DType::kI32;
      for (const Precision precision : precisions_) {
        if (!trial || dtype != storage_dtype(precision)) {
          dtype = storage_dtype(precision);
          Conv1dProblem problem = one.problem;
          problem.dtype = dtype;
          trial.reset();  // before the next one's memory is allocated
          trial = std::make_unique<Conv1dTrial>(problem, noise_, machine_);
        }
        measure(one, precision, *trial);
      }
    }
    print(options_.json ? report_json(report_) : report_tail(report_));
    for (const std::string& failure : failures_) note(failure);
    return failures_.empty() ? 0 : 1;
  }

 private:
  void measure(const Conv1dCase& one, Precision precision, Conv1dTrial& trial) {
    Conv1dMeasurement measured;
    measured.name = one.name;
    measured.problem = one.problem;
    measured.problem.dtype = storage_dtype(precision);
    measured.problem.precision = precision;
    const Conv1dChoice choice =
        select_conv1d(measured.problem, machine_.device().type, options_.kernel);
    for (const Conv1dKernel& kernel : conv1d_kernels()) {
      const bool is_chosen = &kernel == choice.kernel;
      if (!is_chosen && !options_.all_kernels) continue;
      if (kernel.device != machine_.device().type || !kernel.can_implement(measured.problem)) {
        continue;
      }
      measured.kernel = kernel.name;
      measured.is_chosen = is_chosen;
      measured.predicted_seconds = kernel.seconds(measured.problem);
      if (run_kernel(kernel, precision, trial, measured)) add(measured);
    }
  }

  // False where there is nothing to report but a failure.
  bool run_kernel(const Conv1dKernel& kernel, Precision precision, Conv1dTrial& trial,
                  Conv1dMeasurement& measured) {
    const std::string where =
        fmt::format("{} in {} by {}", measured.name, to_string(precision), kernel.name);
    try {
      const Conv1dTrial::Result result = trial.run(kernel, precision, options_.seconds);
      measured.seconds = result.seconds;
      measured.relative_error = result.relative_error;
    } catch (const Error& error) {
      // What the GPU reports for one run, every later call reports again.
      if (error.kind() == ErrorKind::kDevice)
        throw Error(error.kind(), where + ": " + error.what());
      failures_.push_back(where + ": " + error.what());
      return false;
    }
    if (!(measured.relative_error <= error_limit(precision))) {
      failures_.push_back(fmt::format("{}: wrong, its relative L2 error is {:.1e}", where,
                                      measured.relative_error));
    }
    return true;
  }

  void add(const Conv1dMeasurement& measured) {
    report_.measurements.push_back(measured);
    if (!options_.json) print(report_line(report_, measured));
    if (!options_.csv.empty()) write_file(options_.csv, {report_csv(report_)});
  }

  const Conv1dBenchOptions& options_;
  Machine machine_;
  Noise noise_;
  std::vector<Precision> precisions_;
  std::vector<Conv1dCase> cases_;
  Conv1dReport report_;
  std::vector<std::string> failures_;
};

}  // namespace

int run_conv1d_bench(const Conv1dBenchOptions& options) { return Conv1dBench(options).run(); }

}  // namespace engine::cli
