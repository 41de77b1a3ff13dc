#include <algorithm>
#include <string>

#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/depthwise.h"

namespace engine::cuda {
namespace {

constexpr int64_t kMostShared = 96 << 10;  // bytes that a block may use

// An H200, as measured.
constexpr double kLaunch = 5e-6;  // s, with the first loads and the last stores

// Sizes that the kernels' 32-bit places hold.
bool is_depthwise(const Conv1dProblem& p) {
  constexpr int64_t kMostSpan = int64_t{1} << 20;
  return !p.transposed && p.group_inputs() == 1 && p.stride <= kMostSpan &&
         p.kernel_size - 1 <= kMostSpan / p.dilation;
}

// The problem without a dilation that means nothing.
Conv1dProblem plain(Conv1dProblem p) {
  if (p.kernel_size == 1) p.dilation = 1;
  return p;
}

double outputs_of(const Conv1dProblem& p) {
  return static_cast<double>(p.batch) * static_cast<double>(p.out_channels) *
         static_cast<double>(p.out_length);
}

double bytes_of(const Conv1dProblem& p) {
  const double inputs = static_cast<double>(p.batch) * static_cast<double>(p.in_channels) *
                        static_cast<double>(p.in_length);
  return (inputs + (p.residual ? 2.0 : 1.0) * outputs_of(p)) *
         static_cast<double>(size_of(p.dtype));
}

// Taps and bias of every channel as `layout` says.
Tensor pack_weights(const Conv1dProblem& p, const DepthwiseWeights& layout, const Tensor& weight,
                    const float* bias) {
  Tensor packed = Tensor::zeros({p.out_channels, layout.pitch()}, DType::kF32);
  const float* taps = weight.data<float>();
  for (int64_t m = 0; m < p.out_channels; ++m) {
    float* target = packed.data<float>() + m * layout.pitch();
    for (int64_t k = 0; k < p.kernel_size; ++k) {
      target[k % layout.classes * layout.class_taps + k / layout.classes] =
          taps[m * p.kernel_size + k];
    }
    if (bias != nullptr) target[layout.bias_place()] = bias[m];
  }
  return packed;
}

Tensor prepare_weights(const Conv1dProblem& p, const DepthwiseWeights& layout,
                       const PrepareContext& context) {
  const std::string key = "depthwise weight in " + std::to_string(layout.classes) + " x " +
                          std::to_string(layout.class_taps);
  return context.weight(key, [&] {
    const float* bias = p.bias ? context.layer->parameter("bias").data<float>() : nullptr;
    return pack_weights(p, layout, context.layer->parameter("weight"), bias);
  });
}

DepthwiseTensors tensors_of(const Conv1dProblem& p, const Tensor& weights, const StepContext& c) {
  return {c.inputs[0], static_cast<const float*>(weights.raw()), p.residual ? c.inputs[1] : nullptr,
          c.outputs[0]};
}

bool packs_can_implement(const Conv1dProblem& p) { return is_depthwise(p) && p.stride == 1; }

// Seconds for an output and for a tap of one: a tap that a window serves costs its multiply-adds,
// one with a window of its own the loads too.
double packs_seconds(const Conv1dProblem& p) {
  constexpr double kBytesPerSecond = 3.3e12;
  const bool one_window = p.kernel_size <= 8 && (p.dilation == 1 || p.kernel_size == 1);
  const double per_tap = one_window ? 0.06e-12 : 0.3e-12;
  // Pairs of 16-bit elements are taken apart, more so where rows begin between two.
  const bool odd = (p.in_length | p.out_length) % 2 != 0;
  const double per_output = p.dtype == DType::kF32 ? 1.2e-12 : (odd ? 7.2e-12 : 2.6e-12);
  const double work = outputs_of(p) * (per_output + per_tap * static_cast<double>(p.kernel_size));
  return kLaunch + std::max(bytes_of(p) / kBytesPerSecond, work);
}

Step prepare_packs(const Conv1dProblem& problem, const PrepareContext& context) {
  const Conv1dProblem p = plain(problem);
  const DepthwisePacks cut = cut_depthwise_packs(p);
  const Tensor weights = prepare_weights(p, cut.weights, context);
  Step step;
  step.enqueue = [=](const StepContext& c) {
    depthwise_packs(p, cut, tensors_of(p, weights, c), c.stream);
  };
  return step;
}

bool fits(const DepthwiseTiles& cut) {
  return cut.block_groups > 0 && cut.shared_bytes() <= kMostShared;
}

// Work grows with the outputs computed, kept or not, their taps, and the inputs staged beyond one
// for each; rows cost where a block has several. A block alone keeps half a multiprocessor busy.
double tile_seconds(const Conv1dProblem& p, const DepthwiseTiles& cut) {
  constexpr double kBytesPerSecond = 3.9e12;
  constexpr double kPerRow = 0.3e-9;
  const bool wide = cut.per_thread == 15;
  const double per_output = (wide ? 2.0e-12 : 2.4e-12) +
                            (wide ? 0.039e-12 : 0.0465e-12) * static_cast<double>(p.kernel_size) +
                            0.6e-12 * static_cast<double>(p.stride - 1);
  const auto group = static_cast<double>(cut.spacing * cut.per_thread);
  const double rows = static_cast<double>(p.batch) * static_cast<double>(p.out_channels);
  const double work = rows * (static_cast<double>(cut.row_groups) * group * per_output + kPerRow);
  const double one_block = static_cast<double>(cut.block_groups) * group * per_output * 132 * 2;
  return kLaunch + std::max({bytes_of(p) / kBytesPerSecond, work, one_block});
}

// The quicker of the cuts that fit; of two that do not, either.
DepthwiseTiles choose_tiles(const Conv1dProblem& p) {
  const DepthwiseTiles wide = cut_depthwise_tiles(p, 15), narrow = cut_depthwise_tiles(p, 7);
  if (!fits(wide) || !fits(narrow)) return fits(wide) ? wide : narrow;
  return tile_seconds(p, wide) <= tile_seconds(p, narrow) ? wide : narrow;
}

bool tiles_can_implement(const Conv1dProblem& p) {
  return is_depthwise(p) && fits(choose_tiles(plain(p)));
}

double tiles_seconds(const Conv1dProblem& problem) {
  const Conv1dProblem p = plain(problem);
  return tile_seconds(p, choose_tiles(p));
}

Step prepare_tiles(const Conv1dProblem& problem, const PrepareContext& context) {
  const Conv1dProblem p = plain(problem);
  const DepthwiseTiles cut = choose_tiles(p);
  const Tensor weights = prepare_weights(p, cut.weights, context);
  Step step;
  step.enqueue = [=](const StepContext& c) {
    depthwise_tiles(p, cut, tensors_of(p, weights, c), c.stream);
  };
  return step;
}

}  // namespace

Conv1dKernel conv1d_depthwise_packs() {
  return {"conv1d_depthwise_packs_cuda", Device::Type::kCuda, packs_can_implement, packs_seconds,
          prepare_packs};
}

Conv1dKernel conv1d_depthwise_tiles() {
  return {"conv1d_depthwise_tiles_cuda", Device::Type::kCuda, tiles_can_implement, tiles_seconds,
          prepare_tiles};
}

}  // namespace engine::cuda
