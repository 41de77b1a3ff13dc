#include <algorithm>
#include <cmath>

#include "engine/round_up.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/choose_gemm.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/implicit_gemm_step.h"
#include "layers/conv1d/cuda/tap_convolution.h"

namespace engine::cuda {
namespace {

bool can_implement(const Conv1dProblem&) { return true; }

// What a block computes at once: kTapThreads threads, each `positions` outputs of `channels`.
struct Items {
  double channels;
  double positions;
  double outputs;      // of a thread
  double count;        // of a multiprocessor
  double steps;        // taps of all input channels, of a phase on average
  double ends;         // share that reads beyond the ends of x
  double sectors;      // of 32 bytes that a load of eight lanes touches
  double store_steps;  // outputs of other phases between two of a thread's neighbours, and one

  explicit Items(const Conv1dProblem& p) {
    const TapProblem t = tap_problem(p);
    const int64_t block = tap_convolution_channels(t), of_thread = tap_convolution_positions(t);
    const int64_t phases = std::min(t.taps.phases(), p.out_length);
    const int64_t tiles = ceil_divide(t.taps.outputs(0, p.out_length), kTapThreads * of_thread);
    const int64_t blocks = ceil_divide(t.group_outputs, block);
    channels = static_cast<double>(block);
    positions = static_cast<double>(of_thread);
    outputs = channels * positions;
    count = static_cast<double>(p.batch * p.groups * blocks * tiles * phases) / kMultiprocessors;
    steps = static_cast<double>(p.reduction()) / static_cast<double>(t.taps.phases());
    const int64_t before =
        p.transposed ? (p.kernel_size - 1) * p.dilation - p.pad_left : p.pad_left;
    ends = before > 0
               ? static_cast<double>(std::min<int64_t>(tiles, 2)) / static_cast<double>(tiles)
               : 0.0;
    const auto size = static_cast<double>(size_of(p.dtype));
    sectors = std::clamp(static_cast<double>(t.taps.in_stride()) * size / 4.0, 1.0, 32.0);
    store_steps = p.transposed ? static_cast<double>(std::min<int64_t>(phases, 8)) : 1.0;
  }
};

// Cycles that a multiprocessor issues for an item: for its steps, input channels and outputs.
double item_cycles(const Items& items, double inputs) {
  constexpr double kMultiplyAdd = 0.92;  // of a thread's output
  constexpr double kInput = 5.9;         // of a position
  constexpr double kBeyondEnds = 24.0;   // more, where it may be none of x
  constexpr double kFourWeights = 17.5;
  constexpr double kChannel = 49.0;
  constexpr double kSector = 7.8;  // of a position, that a channel reads for the first time
  constexpr double kItem = 325.0;
  constexpr double kOutput = 27.0;
  constexpr double kScattered = 0.52;  // of it, for each step to the next
  const double step = items.outputs * kMultiplyAdd +
                      items.positions * (kInput + items.ends * kBeyondEnds) +
                      items.channels / 4.0 * kFourWeights;
  const double channel = kChannel + items.positions * items.sectors * kSector;
  const double output = kOutput * (1.0 + kScattered * (items.store_steps - 1.0));
  return items.steps * step + inputs * channel + items.outputs * output + kItem;
}

// Cycles from the beginning of an item to its end, which some others hide.
double item_latency(const Items& items, double inputs) {
  constexpr double kStep = 172.0;
  constexpr double kOutput = 12.5;  // more, of a step's multiply-adds
  constexpr double kChannel = 590.0;
  return items.steps * (kStep + items.outputs * kOutput) + inputs * kChannel;
}

// As measured on an H200. Nothing is faster than memory.
double seconds(const Conv1dProblem& p) {
  constexpr double kLaunch = 2.7e-6;
  constexpr double kBytesPerSecond = 2.5e12;
  constexpr double kItemsAtOnce = 12.0;
  const Items items(p);
  const auto inputs = static_cast<double>(p.group_inputs());
  const double rounds = std::ceil(std::ceil(items.count) / kItemsAtOnce);
  const double cycles = std::max(std::max(items.count, 1.0) * item_cycles(items, inputs),
                                 rounds * item_latency(items, inputs));
  const double bytes = implicit_gemm_elements(p) * static_cast<double>(size_of(p.dtype));
  return kLaunch + std::max(cycles / kClock, bytes / kBytesPerSecond);
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const TapProblem problem = tap_problem(p);
  const Tensor weights = context.weight("weight in blocks of channels", [&] {
    return pack_tap_weights(problem, weight_reader(p, context.layer->parameter("weight")));
  });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  Step step;
  step.enqueue = [=](const StepContext& c) {
    tap_convolution(problem, p.dtype, c.inputs[0], static_cast<const float*>(weights.raw()),
                    static_cast<const float*>(bias.raw()), p.residual ? c.inputs[1] : nullptr,
                    c.outputs[0], c.stream);
  };
  return step;
}

}  // namespace

Conv1dKernel conv1d_direct() {
  return {"conv1d_direct_cuda", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
