#include "layers/conv1d/cpu/fft_convolution.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "engine/cpu/share_work.h"
#include "engine/round_up.h"
#include "layers/conv1d/cpu/cpu_cost.h"
#include "layers/conv1d/cpu/panel_output.h"
#include "layers/conv1d/cpu/strided_copy.h"
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
// So many output channels pay for transforming an input once more: threads that have channels of
// their own read their part of the weights alone, and write no lines of memory in turns.
constexpr int64_t kOutputsOfATerm = 8;
constexpr int64_t kMostSlots = 256;

// Consecutive items that a slot begins with.
struct Share {
  std::atomic<int64_t> next;
  int64_t end;
};

int64_t terms(const TapProblem& p, const Strands& strands) {
  return p.group_inputs * strands.count;
}

int64_t weight_bytes(const TapProblem& p, const Strands& strands, int64_t points) {
  return p.groups * p.group_outputs * terms(p, strands) * points * kFloatBytes;
}

double seconds_of(const TapProblem& p, const Strands& strands, int64_t points) {
  const auto n = static_cast<double>(points) / 2.0;
  const int64_t segment_outputs = points - strands.span + 1;
  const auto segments = static_cast<double>(p.batch * p.groups) *
                        static_cast<double>(ceil_divide(p.out_length, segment_outputs));
  const auto inputs = static_cast<double>(terms(p, strands));
  const auto outputs = static_cast<double>(p.group_outputs);
  // As measured with vectors of eight; those of sixteen take two passes.
  const double numbers =
      n * 8.0 / static_cast<double>(std::min<int64_t>(RingTransform::lanes(), 8));
  const double transform = numbers * (0.31 * std::log2(n) + 0.5) + 100.0;
  const double product = numbers * (inputs > 1.0 ? 0.45 : 0.8);
  const double stores = outputs * static_cast<double>(p.batch * p.groups * p.out_length);
  const double cycles = segments * ((inputs + outputs) * transform + inputs * outputs * product);
  const double weights = 0.11 * static_cast<double>(weight_bytes(p, strands, points));
  return (cycles + stores + weights + memory_cycles(p, false)) / kCyclesPerSecond;
}

}  // namespace

Strands::Strands(const TapProblem& p) : stride(p.taps.in_stride()) {
  const PhaseTaps taps = p.taps.phase(0);
  count = std::min(taps.count, stride / std::gcd(stride, taps.shift));
  start = std::min(place(taps, 0), place(taps, taps.count - 1));
  span = std::max(place(taps, 0), place(taps, taps.count - 1)) - start + 1;
}

int64_t Strands::place(const PhaseTaps& taps, int64_t tap) const {
  return floor_divide(taps.offset + tap * taps.shift, stride);
}

int64_t Strands::remainder(const PhaseTaps& taps, int64_t strand) const {
  return taps.offset + strand * taps.shift - place(taps, strand) * stride;
}

std::optional<FftCut> cut_fft(const TapProblem& p) {
  if (p.taps.phases() != 1 || p.taps.phase(0).count < 1) return std::nullopt;
  const Strands strands(p);
  const int64_t all = strands.span - 1 + p.out_length;
  std::optional<FftCut> best;
  for (int64_t points = RingTransform::kLeastPoints;; points *= 2) {
    if (weight_bytes(p, strands, points) > kMostWeightBytes) break;
    if ((terms(p, strands) + 2) * points * kFloatBytes > kMostSegmentBytes) break;
    if (points >= strands.span) {
      const double seconds = seconds_of(p, strands, points);
      if (!best || seconds < best->seconds) best = FftCut{points, seconds};
    }
    if (points >= all || points >= std::max(kEnoughPoints, kEnoughSpans * strands.span)) break;
  }
  return best;
}

FftConvolution::FftConvolution(const TapProblem& problem, const FftCut& cut, int threads)
    : problem_(problem), strands_(problem), transform_(cut.points), seconds_(cut.seconds) {
  segment_outputs_ = points() - strands_.span + 1;
  segments_ = ceil_divide(problem_.out_length, segment_outputs_);
  const int64_t spectra = terms() * points() * kFloatBytes;
  const int64_t most = terms() == 1 ? 1 : RingTransform::kMostProducts;
  block_segments_ = std::clamp(std::min(kBlockBytes / spectra, segments_), int64_t{1}, most);
  const int64_t parts = problem_.batch * problem_.groups;
  const int64_t blocks = parts * ceil_divide(segments_, block_segments_);
  const int64_t shared = ceil_divide(threads, parts);
  if (blocks < threads) {
    output_parts_ = std::min<int64_t>(ceil_divide(threads, blocks), problem_.group_outputs);
  } else if (shared * terms() * kOutputsOfATerm <= problem_.group_outputs) {
    output_parts_ = shared;
  }
  slots_ = std::min<int64_t>({threads, blocks * output_parts_, kMostSlots});
}

// A signal, the spectra of an item's inputs, and those of one output channel.
int64_t FftConvolution::slot_floats() const {
  return points() + 16 + block_segments_ * (terms() + 1) * points();
}

int64_t FftConvolution::workspace_bytes() const { return slots_ * slot_floats() * kFloatBytes; }

Tensor FftConvolution::pack_weights(const WeightReader& weight) const {
  const TapProblem& p = problem_;
  const PhaseTaps taps = p.taps.phase(0);
  const int64_t numbers = transform_.numbers();
  const float scale = 1.0f / static_cast<float>(numbers);
  Tensor packed = Tensor::empty({p.groups * p.group_outputs, terms(), points()});
  std::vector<float> signal(static_cast<size_t>(transform_.signal_floats()));
  // x to the power -lag is minus that to the power points - lag.
  const auto put = [&](int64_t lag, float value) {
    const int64_t i = lag == 0 ? 0 : points() - lag;
    const int64_t place = i < numbers ? i : i - numbers + transform_.plane();
    signal[static_cast<size_t>(place)] = (lag == 0 ? scale : -scale) * value;
  };
  const auto transform_row = [&](int64_t m, int64_t c, int64_t strand, float* spectrum) {
    std::fill(signal.begin(), signal.end(), 0.0f);
    for (int64_t i = strand; i < taps.count; i += strands_.count) {
      put(strands_.place(taps, i) - strands_.start,
          weight(m / p.group_outputs, m % p.group_outputs, c, taps.first + i * taps.step));
    }
    transform_.forward(signal.data(), spectrum, terms() * 2 * lanes());
  };
  for (int64_t m = 0; m < p.groups * p.group_outputs; ++m) {
    float* row = packed.data<float>() + m * terms() * points();
    for (int64_t term = 0; term < terms(); ++term) {
      transform_row(m, term / strands_.count, term % strands_.count, row + term * 2 * lanes());
    }
  }
  return packed;
}

// Samples of a group's output channels follow one another, so that weights are still in a cache.
FftConvolution::Item FftConvolution::item(int64_t index) const {
  const int64_t blocks = ceil_divide(segments_, block_segments_);
  const int64_t segment = index % blocks * block_segments_;
  index /= blocks;
  const int64_t sample = index % problem_.batch;
  index /= problem_.batch;
  const int64_t part = index % output_parts_;
  return {sample,
          index / output_parts_,
          segment,
          std::min(block_segments_, segments_ - segment),
          part * problem_.group_outputs / output_parts_,
          (part + 1) * problem_.group_outputs / output_parts_};
}

void FftConvolution::run(const ConvolutionArrays& arrays, float* workspace,
                         ThreadPool& threads) const {
  const int64_t items =
      problem_.batch * problem_.groups * ceil_divide(segments_, block_segments_) * output_parts_;
  const int64_t grain = std::min(grain_of(items, seconds_), ceil_divide(items, slots_));
  const int64_t slots = seconds_ < kMinSharedSeconds ? 1 : slots_;
  Share shares[kMostSlots];
  for (int64_t s = 0; s < slots; ++s) {
    shares[s].next = s * items / slots;
    shares[s].end = (s + 1) * items / slots;
  }
  const auto run_share = [&](Share& share, float* slot) {
    for (int64_t i; (i = share.next.fetch_add(grain)) < share.end;) {
      for (const int64_t end = std::min(i + grain, share.end); i < end; ++i) {
        run_item(item(i), arrays, slot);
      }
    }
  };
  // Each slot has the same share in every run, and then takes what others have left.
  threads.parallel_for(slots, 1, [&](int64_t first_slot, int64_t end_slot) {
    for (int64_t s = first_slot; s < end_slot; ++s) {
      for (int64_t i = 0; i < slots; ++i) {
        run_share(shares[(s + i) % slots], workspace + s * slot_floats());
      }
    }
  });
}

void FftConvolution::run_item(const Item& item, const ConvolutionArrays& arrays,
                              float* slot) const {
  const TapProblem& p = problem_;
  const int64_t vector = 2 * lanes();
  float* signal = slot;
  float* inputs = signal + points() + 16;
  float* sums = inputs + block_segments_ * terms() * points();
  const ConvolutionArrays part = arrays_of_part(arrays, p, item.sample * p.groups + item.group);
  for (int64_t s = 0; s < item.segments; ++s) {
    for (int64_t term = 0; term < terms(); ++term) {
      fill(part.input + term / strands_.count * p.in_length, term % strands_.count,
           (item.segment + s) * segment_outputs_, signal);
      transform_.forward(signal, inputs + s * terms() * points() + term * vector, terms() * vector);
    }
  }
  for (int64_t m = item.first; m < item.end; ++m) {
    const int64_t filter = (item.group * p.group_outputs + m) * terms();
    transform_.multiply(part.weights + filter * points(), inputs, terms(), item.segments, sums);
    for (int64_t s = 0; s < item.segments; ++s) {
      transform_.inverse(sums + s * points(), signal);
      store(part, m, item.segment + s, signal);
    }
  }
}

// What the outputs of a segment read of a strand, then zeros.
void FftConvolution::fill(const float* channel, int64_t strand, int64_t first_output,
                          float* signal) const {
  const int64_t length = problem_.in_length, stride = strands_.stride;
  const int64_t first =
      (first_output + strands_.start) * stride + strands_.remainder(problem_.taps.phase(0), strand);
  const int64_t outputs = std::min(segment_outputs_, problem_.out_length - first_output);
  const int64_t count = outputs + strands_.span - 1;
  const int64_t before = first >= 0 ? 0 : ceil_divide(-first, stride);
  const int64_t inside = first >= length ? 0 : ceil_divide(length - first, stride);
  const auto pad_part = [&](float* target, int64_t begin, int64_t end) {
    pad(channel, length, problem_.padding_mode, first + begin * stride, stride, end - begin,
        target + begin);
  };
  for (int64_t half = 0; half < 2; ++half) {
    const int64_t begin = half * transform_.numbers(), all = begin + transform_.numbers();
    float* target = signal + half * transform_.plane() - begin;
    const int64_t end = std::clamp(count, begin, all);
    const int64_t low = std::clamp(before, begin, end);
    const int64_t high = std::clamp(inside, low, end);
    pad_part(target, begin, low);
    strided_copy(channel + first + low * stride, stride, high - low, target + low);
    pad_part(target, high, end);
    std::fill(target + end, target + all, 0.0f);
  }
}

void FftConvolution::store(const ConvolutionArrays& part, int64_t m, int64_t segment,
                           const float* signal) const {
  const TapProblem& p = problem_;
  const PanelOutput output = {part.output, p.out_length,  1,
                              part.bias,   part.residual, true,
                              true,        p.activation,  p.residual_activation};
  const int64_t first = segment * segment_outputs_;
  const int64_t count = std::min(segment_outputs_, p.out_length - first);
  const int64_t low = std::min(count, transform_.numbers());
  store_values(output, signal, m, first, low);
  if (count > low) store_values(output, signal + transform_.plane(), m, first + low, count - low);
}

}  // namespace engine::cpu
