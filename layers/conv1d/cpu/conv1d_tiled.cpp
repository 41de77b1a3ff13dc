#include <fmt/format.h>

#include <memory>

#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cpu/conv1d_cpu.h"
#include "layers/conv1d/cpu/tap_convolution.h"

namespace engine::cpu {
namespace {

bool can_implement(const Conv1dProblem&) { return true; }

// One core with AVX2 at 3 GHz, measured on long reductions: the share of its 96 GFLOP/s that the
// two innermost loops reach, and what memory delivers.
constexpr double kFourRowsFlopsPerSecond = 80e9;
constexpr double kOneRowFlopsPerSecond = 50e9;
constexpr double kBytesPerSecond = 10e9;

double seconds(const Conv1dProblem& p, int64_t rows, double flops_per_second) {
  // Output channels are padded to whole blocks.
  const int64_t blocks = (p.group_outputs() + rows - 1) / rows;
  const double padded = static_cast<double>(blocks * rows) / static_cast<double>(p.group_outputs());
  const double elements = static_cast<double>(p.batch) *
                          (static_cast<double>(p.in_channels) * static_cast<double>(p.in_length) +
                           static_cast<double>(p.out_channels) * static_cast<double>(p.out_length));
  return p.flops() * padded / flops_per_second + 4.0 * elements / kBytesPerSecond;
}

double seconds_four(const Conv1dProblem& p) { return seconds(p, 4, kFourRowsFlopsPerSecond); }

double seconds_one(const Conv1dProblem& p) { return seconds(p, 1, kOneRowFlopsPerSecond); }

Step prepare(const Conv1dProblem& p, const PrepareContext& context, RowBlock rows,
             const char* weight_key) {
  const auto convolution =
      std::make_shared<const TapConvolution>(tap_problem(p), rows, context.threads);
  const std::string key = fmt::format("{}, {} phases", weight_key, convolution->phases());
  const Tensor weight = context.weight(key, [&] {
    return convolution->pack_weights(weight_reader(p, context.layer->parameter("weight")));
  });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  Step step;
  step.enqueue = [=](const StepContext& c) {
    convolution->run(c.input<float>(), weight.data<float>(),
                     bias.defined() ? bias.data<float>() : nullptr,
                     p.residual ? c.input<float>(1) : nullptr, c.output<float>(), *c.threads);
  };
  return step;
}

Step prepare_four(const Conv1dProblem& p, const PrepareContext& context) {
  return prepare(p, context, RowBlock::kFour, "weight in blocks of four channels");
}

Step prepare_one(const Conv1dProblem& p, const PrepareContext& context) {
  return prepare(p, context, RowBlock::kOne, "weight in single channels");
}

}  // namespace

Conv1dKernel conv1d_tiled() {
  return {"conv1d_tiled_cpu", Device::Type::kCpu, can_implement, seconds_four, prepare_four};
}

Conv1dKernel conv1d_tiled_rows() {
  return {"conv1d_tiled_rows_cpu", Device::Type::kCpu, can_implement, seconds_one, prepare_one};
}

}  // namespace engine::cpu
