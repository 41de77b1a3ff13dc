#include <algorithm>
#include <cmath>
#include <string>

#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/depthwise.h"

namespace engine::cuda {
namespace {

constexpr int64_t kMostShared = 96 << 10;  // bytes that a block may use

// An H200, as measured.
constexpr double kMultiprocessors = 132;

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

double rows_of(const Conv1dProblem& p) {
  return static_cast<double>(p.batch) * static_cast<double>(p.out_channels);
}

double outputs_of(const Conv1dProblem& p) { return rows_of(p) * static_cast<double>(p.out_length); }

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

// Outputs that a warp computes at once.
int64_t pass_outputs(const Conv1dProblem& p) {
  return kDepthwisePass * 16 / static_cast<int64_t>(size_of(p.dtype));
}

// Several passes for each warp share the work of setting it up, while there are warps for every
// multiprocessor.
DepthwisePacks choose_packs(const Conv1dProblem& p) {
  constexpr double kWarps = kMultiprocessors * 32;
  const double passes = outputs_of(p) / static_cast<double>(pass_outputs(p)) / kWarps;
  return cut_depthwise_packs(p, static_cast<int64_t>(std::clamp(std::ceil(passes), 1.0, 8.0)));
}

// Seconds of all multiprocessors.
struct PackTimes {
  double segment;  // to set a warp up
  double pass;     // of a warp, without its taps
  double tap;      // of a pass
};

// Neighbouring taps share a window of inputs, others have one each; pairs of 16-bit elements are
// taken apart, which costs least where no window begins within a pack.
PackTimes pack_times(const Conv1dProblem& p) {
  if (p.dtype == DType::kF32) {
    return {0.36e-9, 0.09e-9, p.dilation == 1 ? 0.0088e-9 : 0.028e-9};
  }
  const bool aligned = (p.in_length | p.out_length | p.pad_left | p.dilation) % 8 == 0;
  const double own_window = aligned || p.kernel_size <= 3 ? 0.036e-9 : 0.05e-9;
  return {0.42e-9, 0.1e-9, p.dilation == 1 ? 0.012e-9 : own_window};
}

double packs_seconds(const Conv1dProblem& problem) {
  constexpr double kLaunch = 3.5e-6;  // with the first loads and the last stores
  constexpr double kBytesPerSecond = 4.05e12;
  const Conv1dProblem p = plain(problem);
  const DepthwisePacks cut = choose_packs(p);
  const PackTimes times = pack_times(p);
  const int64_t passes = (p.out_length - 1) / pass_outputs(p) + 1;
  const double pass = times.pass + times.tap * static_cast<double>(p.kernel_size);
  const double row =
      static_cast<double>(cut.row_segments) * times.segment + static_cast<double>(passes) * pass;
  // A warp alone keeps half a scheduler busy.
  const double one_warp =
      static_cast<double>(cut.segment / pass_outputs(p)) * pass * kMultiprocessors * 4 * 2;
  return kLaunch + std::max({bytes_of(p) / kBytesPerSecond, rows_of(p) * row, one_warp});
}

Step prepare_packs(const Conv1dProblem& problem, const PrepareContext& context) {
  const Conv1dProblem p = plain(problem);
  const DepthwisePacks cut = choose_packs(p);
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
  constexpr double kLaunch = 4e-6;  // with a block's waits for all of its threads
  constexpr double kBytesPerSecond = 3.9e12;
  constexpr double kPerRow = 0.37e-9;
  const bool f32 = p.dtype == DType::kF32;
  const bool wide = cut.per_thread == 15;
  const double base = f32 ? (wide ? 1.65e-12 : 2.1e-12) : (wide ? 1.25e-12 : 1.85e-12);
  const double per_tap = f32 ? (wide ? 0.039e-12 : 0.045e-12) : (wide ? 0.045e-12 : 0.05e-12);
  const double per_output = base + per_tap * static_cast<double>(p.kernel_size) +
                            0.6e-12 * static_cast<double>(p.stride - 1);
  const auto group = static_cast<double>(cut.spacing * cut.per_thread);
  const double work =
      rows_of(p) * (static_cast<double>(cut.row_groups) * group * per_output + kPerRow);
  const double one_block =
      static_cast<double>(cut.block_groups) * group * per_output * kMultiprocessors * 2;
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
