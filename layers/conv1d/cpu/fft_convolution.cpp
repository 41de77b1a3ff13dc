#include "layers/conv1d/cpu/fft_convolution.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>

#include "engine/cpu/share_work.h"
#include "engine/round_up.h"
#include "layers/conv1d/cpu/cpu_cost.h"
#include "layers/conv1d/cpu/panel_output.h"
#include "layers/conv1d/cpu/tap_tile.h"

namespace engine::cpu {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);
constexpr int64_t kMostWeightBytes = int64_t{256} << 20;
constexpr int64_t kMostSegmentBytes = int64_t{64} << 20;
// More points than both gain little, and take memory for spectra and roots.
constexpr int64_t kEnoughPoints = 1024;
constexpr int64_t kEnoughSpans = 8;
// Spectra of several segments that weights are read for once.
constexpr int64_t kBlockBytes = int64_t{4} << 20;

// Inputs from an output's first one to its last.
int64_t span(const PhaseTaps& taps) { return (taps.count - 1) * std::abs(taps.shift) + 1; }

// The input position that output 0 reads first.
int64_t start(const PhaseTaps& taps) {
  return std::min(taps.offset, taps.offset + (taps.count - 1) * taps.shift);
}

int64_t weight_bytes(const TapProblem& p, int64_t points) {
  return p.groups * p.group_outputs * p.group_inputs * points * kFloatBytes;
}

double seconds_of(const TapProblem& p, int64_t points) {
  const auto n = static_cast<double>(points) / 2.0;
  const int64_t segment_outputs = points - span(p.taps.phase(0)) + 1;
  const auto segments = static_cast<double>(p.batch * p.groups) *
                        static_cast<double>(ceil_divide(p.out_length, segment_outputs));
  const auto inputs = static_cast<double>(p.group_inputs);
  const auto outputs = static_cast<double>(p.group_outputs);
  const double transform = n * (0.31 * std::log2(n) + 0.5) + 100.0;
  const double product = n * (p.group_inputs > 1 ? 0.45 : 0.8);
  const double stores = 2.0 * outputs * static_cast<double>(p.batch * p.groups * p.out_length);
  const double cycles = segments * ((inputs + outputs) * transform + inputs * outputs * product);
  const double weights = 0.11 * static_cast<double>(weight_bytes(p, points));
  return (cycles + stores + weights + memory_cycles(p, false)) / kCyclesPerSecond;
}

}  // namespace

std::optional<FftCut> cut_fft(const TapProblem& p) {
  const PhaseTaps taps = p.taps.phase(0);
  if (p.taps.in_stride() != 1 || p.taps.phases() != 1 || taps.count < 1) return std::nullopt;
  const int64_t all = span(taps) - 1 + p.out_length;
  std::optional<FftCut> best;
  for (int64_t points = RingTransform::kLeastPoints;; points *= 2) {
    if (weight_bytes(p, points) > kMostWeightBytes) break;
    if ((p.group_inputs + 2) * points * kFloatBytes > kMostSegmentBytes) break;
    if (points >= span(taps)) {
      const double seconds = seconds_of(p, points);
      if (!best || seconds < best->seconds) best = FftCut{points, seconds};
    }
    if (points >= all || points >= std::max(kEnoughPoints, kEnoughSpans * span(taps))) break;
  }
  return best;
}

FftConvolution::FftConvolution(const TapProblem& problem, const FftCut& cut, int threads)
    : problem_(problem), transform_(cut.points), seconds_(cut.seconds) {
  segment_outputs_ = points() - span(problem_.taps.phase(0)) + 1;
  segments_ = ceil_divide(problem_.out_length, segment_outputs_);
  const int64_t spectra = problem_.group_inputs * points() * kFloatBytes;
  const int64_t most = problem_.group_inputs == 1 ? 1 : RingTransform::kMostProducts;
  block_segments_ = std::clamp(std::min(kBlockBytes / spectra, segments_), int64_t{1}, most);
  const int64_t blocks = problem_.batch * problem_.groups * ceil_divide(segments_, block_segments_);
  if (blocks < threads) {
    output_parts_ = std::min<int64_t>(ceil_divide(threads, blocks), problem_.group_outputs);
  }
  slots_ = std::min<int64_t>(threads, blocks * output_parts_);
}

// A signal, the spectra of an item's inputs, and those of one output channel.
int64_t FftConvolution::slot_floats() const {
  return points() + 16 + block_segments_ * (problem_.group_inputs + 1) * points();
}

int64_t FftConvolution::workspace_bytes() const { return slots_ * slot_floats() * kFloatBytes; }

Tensor FftConvolution::pack_weights(
    const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight) const {
  const TapProblem& p = problem_;
  const PhaseTaps taps = p.taps.phase(0);
  const int64_t numbers = transform_.numbers();
  const float scale = 1.0f / static_cast<float>(numbers);
  Tensor packed = Tensor::empty({p.groups * p.group_outputs, p.group_inputs, points()});
  std::vector<float> signal(static_cast<size_t>(transform_.signal_floats()));
  // x to the power -lag is minus that to the power points - lag.
  const auto put = [&](int64_t lag, float value) {
    const int64_t i = lag == 0 ? 0 : points() - lag;
    const int64_t place = i < numbers ? i : i - numbers + transform_.plane();
    signal[static_cast<size_t>(place)] = (lag == 0 ? scale : -scale) * value;
  };
  for (int64_t m = 0; m < p.groups * p.group_outputs; ++m) {
    float* row = packed.data<float>() + m * p.group_inputs * points();
    for (int64_t c = 0; c < p.group_inputs; ++c) {
      std::fill(signal.begin(), signal.end(), 0.0f);
      for (int64_t i = 0; i < taps.count; ++i) {
        put(taps.offset + i * taps.shift - start(taps),
            weight(m / p.group_outputs, m % p.group_outputs, c, taps.first + i * taps.step));
      }
      transform_.forward(signal.data(), row + c * 2 * lanes(), p.group_inputs * 2 * lanes());
    }
  }
  return packed;
}

// Samples of a group follow one another, so that its weights are still in a cache.
FftConvolution::Item FftConvolution::item(int64_t index) const {
  const int64_t part = index % output_parts_;
  index /= output_parts_;
  const int64_t blocks = ceil_divide(segments_, block_segments_);
  const int64_t segment = index % blocks * block_segments_;
  index /= blocks;
  return {index % problem_.batch,
          index / problem_.batch,
          segment,
          std::min(block_segments_, segments_ - segment),
          part * problem_.group_outputs / output_parts_,
          (part + 1) * problem_.group_outputs / output_parts_};
}

void FftConvolution::run(const Arrays& arrays, float* workspace, ThreadPool& threads) const {
  const int64_t items =
      problem_.batch * problem_.groups * ceil_divide(segments_, block_segments_) * output_parts_;
  const int64_t grain = std::min(grain_of(items, seconds_), ceil_divide(items, slots_));
  const bool alone = seconds_ < kMinSharedSeconds;
  std::atomic<int64_t> next = 0;
  // Each slot takes items until none is left.
  threads.parallel_for(alone ? 1 : slots_, 1, [&](int64_t first_slot, int64_t end_slot) {
    for (int64_t s = first_slot; s < end_slot; ++s) {
      for (int64_t i; (i = next.fetch_add(grain)) < items;) {
        for (const int64_t end = std::min(i + grain, items); i < end; ++i) {
          run_item(item(i), arrays, workspace + s * slot_floats());
        }
      }
    }
  });
}

void FftConvolution::run_item(const Item& item, const Arrays& arrays, float* slot) const {
  const TapProblem& p = problem_;
  const int64_t vector = 2 * lanes();
  float* signal = slot;
  float* inputs = signal + points() + 16;
  float* sums = inputs + block_segments_ * p.group_inputs * points();
  const float* x =
      arrays.input + (item.sample * p.groups + item.group) * p.group_inputs * p.in_length;
  for (int64_t s = 0; s < item.segments; ++s) {
    for (int64_t c = 0; c < p.group_inputs; ++c) {
      fill(x + c * p.in_length, (item.segment + s) * segment_outputs_, signal);
      transform_.forward(signal, inputs + s * p.group_inputs * points() + c * vector,
                         p.group_inputs * vector);
    }
  }
  for (int64_t m = item.first; m < item.end; ++m) {
    const int64_t filter = (item.group * p.group_outputs + m) * p.group_inputs;
    transform_.multiply(arrays.weights + filter * points(), inputs, p.group_inputs, item.segments,
                        sums);
    for (int64_t s = 0; s < item.segments; ++s) {
      transform_.inverse(sums + s * points(), signal);
      store(item, arrays, m, item.segment + s, signal);
    }
  }
}

// What the outputs of a segment read, then zeros.
void FftConvolution::fill(const float* channel, int64_t first_output, float* signal) const {
  const PhaseTaps taps = problem_.taps.phase(0);
  const int64_t length = problem_.in_length, first = first_output + start(taps);
  const int64_t outputs = std::min(segment_outputs_, problem_.out_length - first_output);
  const int64_t count = outputs + span(taps) - 1;
  const auto pad_part = [&](float* target, int64_t begin, int64_t end) {
    pad(channel, length, problem_.padding_mode, first + begin, 1, end - begin, target + begin);
  };
  for (int64_t half = 0; half < 2; ++half) {
    const int64_t begin = half * transform_.numbers(), all = begin + transform_.numbers();
    float* target = signal + half * transform_.plane() - begin;
    const int64_t end = std::clamp(count, begin, all);
    const int64_t low = std::clamp(-first, begin, end);
    const int64_t high = std::clamp(length - first, low, end);
    pad_part(target, begin, low);
    std::copy(channel + first + low, channel + first + high, target + low);
    pad_part(target, high, end);
    std::fill(target + end, target + all, 0.0f);
  }
}

void FftConvolution::store(const Item& item, const Arrays& arrays, int64_t m, int64_t segment,
                           const float* signal) const {
  const TapProblem& p = problem_;
  const int64_t part = item.sample * p.groups + item.group;
  const int64_t row = part * p.group_outputs * p.out_length;
  const PanelOutput output = {arrays.output + row,
                              p.out_length,
                              1,
                              arrays.bias ? arrays.bias + item.group * p.group_outputs : nullptr,
                              arrays.residual ? arrays.residual + row : nullptr,
                              true,
                              true,
                              p.activation,
                              p.residual_activation};
  const int64_t first = segment * segment_outputs_;
  const int64_t count = std::min(segment_outputs_, p.out_length - first);
  const int64_t low = std::min(count, transform_.numbers());
  store_values(output, signal, m, first, low);
  if (count > low) store_values(output, signal + transform_.plane(), m, first + low, count - low);
}

}  // namespace engine::cpu
