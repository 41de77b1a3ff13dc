// A problem may be cut in many ways: transforms of few points lose much to the overlap of windows,
// those of many points take more passes, fewer of their blocks fit a multiprocessor, and few blocks
// leave processors idle. All cuts are priced and the cheapest is taken.
#include "layers/conv1d/cuda/fft_plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace engine::cuda {
namespace {

constexpr int64_t kLine = 16;

// Seconds of a transform on an H200, as measured: of a block alone on its multiprocessor, and of
// each more where blocks overlap. As long as that where only one block fits at a time.
struct Rate {
  double alone;
  double more;
};
struct Size {
  int64_t points;
  Rate one;                 // blocks of one term
  std::optional<Rate> sum;  // blocks that sum over terms, where there is a kernel
};
constexpr std::array<Size, 5> kSizes = {{
    {1024, {1.45e-6, 0.41e-6}, std::nullopt},
    {2048, {1.5e-6, 0.74e-6}, std::nullopt},
    {4096, {2.2e-6, 1.33e-6}, Rate{2.3e-6, 1.75e-6}},
    {6144, {3.2e-6, 2.43e-6}, std::nullopt},
    {8192, {4.0e-6, 3.05e-6}, Rate{4.2e-6, 4.2e-6}},
}};

constexpr int64_t kLeastTaps = 48;
constexpr int64_t kLeastReduction = 120;  // in fp32: shorter plain sums are more accurate
constexpr int64_t kAlignment = 64;
constexpr int64_t kMostStride = 64;
constexpr int64_t kMostParts = 4096;
constexpr int64_t kMostSpectraBytes = int64_t{1} << 30;

// Taps of the kernel with its dilation written out as zeros.
int64_t span(const Conv1dProblem& p) { return (p.kernel_size - 1) * p.dilation + 1; }

// Outputs before the stride.
int64_t full_outputs(const Conv1dProblem& p) { return (p.out_length - 1) * p.stride + 1; }

// As a correlation with stride 1: the left padding. A transposed kernel runs backwards.
int64_t left_padding(const Conv1dProblem& p) {
  return p.transposed ? span(p) - 1 - p.pad_left : p.pad_left;
}

// Whether one cyclic product gives all outputs: what wraps around is zero.
bool wraps_onto_zeros(const Conv1dProblem& p, int64_t points) {
  const int64_t left = left_padding(p);
  return p.padding_mode == PaddingMode::kZeros && full_outputs(p) <= points &&
         p.in_length + left <= points &&
         full_outputs(p) + span(p) - 1 - std::max<int64_t>(left, 0) <= points;
}

// Parts of the kernel whose window over a segment holds an input that is not padding: [first, end).
struct Parts {
  int64_t first;
  int64_t end;
};

Parts active_parts(const FftConvolution& f, int64_t segment) {
  if (f.padding_mode != PaddingMode::kZeros) return {0, f.parts};
  // The window of part p begins at start + p part_taps: above -points, below in_length.
  const int64_t start = segment * f.segment_outputs - f.pad_left;
  const int64_t low = -f.points + 1 - start, high = f.in_length - start;
  return {low <= 0 ? 0 : (low - 1) / f.part_taps + 1,
          high <= 0 ? 0 : std::min((high - 1) / f.part_taps + 1, f.parts)};
}

// Parts that a block's two segments need, on average over the blocks.
double parts_of_a_block(const FftConvolution& f) {
  constexpr int64_t kMostSamples = 512;
  // Pairs repeat after two rows.
  const int64_t pairs = std::min(f.segments, f.pairs());
  const int64_t step = (pairs - 1) / kMostSamples + 1;
  double sum = 0.0, count = 0.0;
  for (int64_t pair = 0; pair < pairs; pair += step, count += 1.0) {
    const Parts a = active_parts(f, 2 * pair % f.segments);
    const Parts b = active_parts(f, (2 * pair + 1) % f.segments);
    sum += static_cast<double>(
        std::max<int64_t>(std::max(a.end, b.end) - std::min(a.first, b.first), 0));
  }
  return sum / count;
}

double predict(const FftConvolution& f, const Rate& rate, double element_bytes) {
  constexpr double kProcessors = 132.0;
  constexpr double kBytesPerSecond = 3.5e12;
  constexpr double kLaunch = 2.5e-6;
  const double transforms = parts_of_a_block(f) * static_cast<double>(f.group_inputs) + 1.0;
  const double blocks = static_cast<double>(f.out_channels * f.pairs()) / kProcessors;
  const double rounds = rate.more < rate.alone ? std::max(blocks, 1.0) : std::ceil(blocks);
  const double work = transforms * (rate.alone + (rounds - 1.0) * rate.more);
  const double inputs = static_cast<double>(f.batch * f.in_channels * f.in_length);
  const double outputs = static_cast<double>(f.batch * f.out_channels * f.out_length);
  const double spectra = static_cast<double>(f.out_channels * f.terms() * f.points);
  const double bytes = (inputs + outputs) * element_bytes + spectra * 8.0;
  return kLaunch + std::max(work, bytes / kBytesPerSecond);
}

// Complex numbers without the care of std::complex for infinities.
struct Complex {
  double re = 0.0;
  double im = 0.0;
};

Complex root_of_unity(int64_t index, int64_t points) {
  const double angle =
      -2.0 * std::numbers::pi * static_cast<double>(index % points) / static_cast<double>(points);
  return {std::cos(angle), std::sin(angle)};
}

// The transform of a power of two of points, or three times one, in double.
class Transform {
 public:
  explicit Transform(int64_t points) {
    for (int64_t i = 0; i < points; ++i) roots_.push_back(root_of_unity(i, points));
  }

  void run(const std::vector<Complex>& from, std::vector<Complex>& to) const {
    step(from.data(), to.data(), static_cast<int64_t>(roots_.size()), 1);
  }

 private:
  void step(const Complex* from, Complex* to, int64_t points, int64_t stride) const {
    if (points % 2 != 0) return few_points(from, to, points, stride);
    const int64_t half = points / 2;
    step(from, to, half, 2 * stride);
    step(from + stride, to + half, half, 2 * stride);
    for (int64_t k = 0; k < half; ++k) {
      const Complex even = to[k], odd = times(to[half + k], k * stride);
      to[k] = {even.re + odd.re, even.im + odd.im};
      to[half + k] = {even.re - odd.re, even.im - odd.im};
    }
  }

  // One point or three, by the definition.
  void few_points(const Complex* from, Complex* to, int64_t points, int64_t stride) const {
    for (int64_t k = 0; k < points; ++k) {
      to[k] = {};
      for (int64_t n = 0; n < points; ++n) {
        const Complex term = times(from[n * stride], k * n % points * stride);
        to[k] = {to[k].re + term.re, to[k].im + term.im};
      }
    }
  }

  Complex times(const Complex& value, int64_t root) const {
    const Complex& w = roots_[static_cast<size_t>(root)];
    return {value.re * w.re - value.im * w.im, value.re * w.im + value.im * w.re};
  }

  std::vector<Complex> roots_;
};

// Adds `tap` times the taps of one part of one filter to `signal`.
template <typename Tap>
void add_taps(const Conv1dProblem& p, const FftConvolution& f, int64_t filter, Complex unit,
              const Tap& weight, std::vector<Complex>& signal) {
  const int64_t part = filter % f.parts;
  const int64_t c = filter / f.parts % f.group_inputs;
  const int64_t m = filter / f.parts / f.group_inputs;
  const int64_t first = part * f.part_taps;
  const int64_t end = std::min(first + f.part_taps, span(p));
  for (int64_t k = (first + p.dilation - 1) / p.dilation; k * p.dilation < end; ++k) {
    const int64_t tap = p.transposed ? p.kernel_size - 1 - k : k;
    const double value = weight(m / f.group_outputs, m % f.group_outputs, c, tap);
    Complex& target = signal[static_cast<size_t>(k * p.dilation - first)];
    target.re += unit.re * value;
    target.im += unit.im * value;
  }
}

}  // namespace

std::optional<FftPlan> cut_fft(const Conv1dProblem& p, int64_t points, int64_t parts) {
  FftConvolution f;
  f.batch = p.batch;
  f.in_channels = p.in_channels;
  f.in_length = p.in_length;
  f.out_channels = p.out_channels;
  f.out_length = p.out_length;
  f.group_inputs = p.group_inputs();
  f.group_outputs = p.group_outputs();
  f.stride = p.stride;
  f.pad_left = left_padding(p);
  f.pad_right = p.pad_right;
  f.padding_mode = p.padding_mode;
  f.points = points;
  f.parts = parts;
  f.part_taps = (span(p) - 1) / parts + 1;
  if ((f.part_taps * (parts - 1)) >= span(p)) return std::nullopt;  // the last part is empty
  const auto* size =
      std::find_if(kSizes.begin(), kSizes.end(), [&](const Size& s) { return s.points == points; });
  if (size == kSizes.end() || (f.terms() > 1 && !size->sum)) return std::nullopt;
  const bool whole = parts == 1 && wraps_onto_zeros(p, points);
  f.segment_outputs = whole ? full_outputs(p) : points - f.part_taps + 1;
  // Segments begin where 128 bytes of a 16-bit row do, if the row does.
  if (!whole && f.segment_outputs > kAlignment) f.segment_outputs -= f.segment_outputs % kAlignment;
  if (f.segment_outputs < 1) return std::nullopt;
  f.segments = (full_outputs(p) - 1) / f.segment_outputs + 1;
  if (f.out_channels * f.terms() > kMostSpectraBytes / 8 / points) return std::nullopt;
  return FftPlan{
      f, predict(f, f.terms() > 1 ? *size->sum : size->one, static_cast<double>(size_of(p.dtype)))};
}

std::optional<FftPlan> plan_fft(const Conv1dProblem& p, int64_t shared_bytes) {
  const bool taps = p.kernel_size >= kLeastTaps && p.kernel_size * 4 >= span(p);
  if (p.precision == Precision::kFp32 && p.reduction() < kLeastReduction) return std::nullopt;
  if (!taps || p.stride > kMostStride || (p.transposed && p.stride > 1)) return std::nullopt;
  std::optional<FftPlan> best;
  for (const Size& size : kSizes) {
    for (int64_t eighths = 1; eighths <= 8; ++eighths) {
      const int64_t parts = (span(p) - 1) / (size.points * eighths / 8) + 1;
      if (parts > kMostParts) continue;
      const std::optional<FftPlan> plan = cut_fft(p, size.points, parts);
      if (!plan || fft_shared_bytes(plan->convolution) > shared_bytes) continue;
      if (!best || plan->seconds < best->seconds) best = plan;
    }
  }
  return best;
}

int64_t fft_bin_place(int64_t bin, int64_t points) {
  const int64_t rows = points / kFftInner;
  const int64_t row = bin % rows;
  const int64_t line = bin / rows % kLine;
  const int64_t in_line = bin / rows / kLine;
  return (in_line / 2 * rows * kLine + row * kLine + line) * 2 + in_line % 2;
}

std::vector<float> fft_roots(int64_t points) {
  std::vector<float> roots;
  const auto add = [&](int64_t powers, int64_t columns, int64_t of_points) {
    std::vector<int64_t> base = {1, 2, 3};
    for (int64_t power = 4; power < powers; power += 4) base.push_back(power);
    for (const int64_t power : base) {
      for (int64_t column = 0; column < columns; ++column) {
        const Complex root = root_of_unity(power * column, of_points);
        roots.push_back(static_cast<float>(root.re));
        roots.push_back(static_cast<float>(root.im));
      }
    }
  };
  add(points / kFftInner, kFftInner, points);
  add(kLine, kLine, kFftInner);
  return roots;
}

void fft_spectra(const Conv1dProblem& p, const FftConvolution& f,
                 const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight,
                 float* spectra) {
  const int64_t filters = f.out_channels * f.terms();
  const auto points = static_cast<size_t>(f.points);
  const Transform transform(f.points);
  std::vector<int64_t> place;
  for (int64_t bin = 0; bin < f.points; ++bin) place.push_back(fft_bin_place(bin, f.points));
  const double scale = 0.5 / static_cast<double>(f.points);
  std::vector<Complex> signal(points), bins(points);
  // Two real filters a and b travel as a + i b.
  for (int64_t filter = 0; filter < filters; filter += 2) {
    const bool second = filter + 1 < filters;
    std::fill(signal.begin(), signal.end(), Complex{});
    add_taps(p, f, filter, {1.0, 0.0}, weight, signal);
    if (second) add_taps(p, f, filter + 1, {0.0, 1.0}, weight, signal);
    transform.run(signal, bins);
    float* a = spectra + filter * f.points * 2;
    float* b = a + f.points * 2;
    for (size_t bin = 0; bin < points; ++bin) {
      const Complex z = bins[bin], mirror = bins[(points - bin) % points];
      const int64_t at = place[bin] * 2;
      // Conjugates: the sum over taps is a correlation.
      a[at] = static_cast<float>(scale * (z.re + mirror.re));
      a[at + 1] = static_cast<float>(-scale * (z.im - mirror.im));
      if (!second) continue;
      b[at] = static_cast<float>(scale * (z.im + mirror.im));
      b[at + 1] = static_cast<float>(scale * (z.re - mirror.re));
    }
  }
}

}  // namespace engine::cuda
