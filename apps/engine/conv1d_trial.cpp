#include "apps/engine/conv1d_trial.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/plan/weight_cache.h"

namespace engine::cli {
namespace {

constexpr int64_t kPieces = 256;  // of the sample
constexpr int64_t kPieceLength = 16;
constexpr int64_t kAlignment = 256;  // of each set
constexpr int kPoison = 0xFF;        // NaN in every floating-point type
constexpr int64_t kUnknownCache = int64_t{32} << 20;

int64_t bytes_of(int64_t elements, DType dtype) {
  return elements * static_cast<int64_t>(size_of(dtype));
}

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

int64_t inputs(const Conv1dProblem& p) { return p.batch * p.in_channels * p.in_length; }
int64_t outputs(const Conv1dProblem& p) { return p.batch * p.out_channels * p.out_length; }

Shape weight_shape(const Conv1dProblem& p) {
  if (p.transposed) return {p.in_channels, p.group_outputs(), p.kernel_size};
  return {p.out_channels, p.group_inputs(), p.kernel_size};
}

// Values of a period from `first` on, scaled and rounded to the dtype that the layer would keep.
Tensor draw(const float* period, int64_t first, double scale, const Shape& shape, DType dtype) {
  Tensor tensor = Tensor::empty(shape);
  float* values = tensor.data<float>();
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    values[i] = static_cast<float>(scale * period[(first + i) % Noise::kPeriod]);
  }
  return tensor.to(dtype).to(DType::kF32);
}

}  // namespace

double compulsory_bytes(const Conv1dProblem& p) {
  const int64_t weights = element_count(weight_shape(p)) + (p.bias ? p.out_channels : 0);
  return static_cast<double>(bytes_of(inputs(p) + outputs(p) + weights, p.dtype));
}

// What a kernel asks its layer for.
class Conv1dTrial::Weights : public Layer {
 public:
  Weights(const Conv1dProblem& p, const float* period) {
    // Outputs then have a variance of about 1, as those of a trained layer.
    const double scale = 1.0 / std::sqrt(static_cast<double>(p.reduction()));
    constexpr int64_t kFirst = Noise::kPeriod / 3;  // away from where x starts
    constexpr int64_t kFirstOfBias = Noise::kPeriod / 2;
    set_parameters({{"weight", draw(period, kFirst, scale, weight_shape(p), p.dtype)},
                    {"bias", draw(period, kFirstOfBias, 1.0, {p.out_channels}, p.dtype)}});
  }
  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& specs) const override {
    return specs;
  }
  Step prepare(const PrepareContext&) const override { return {}; }
};

Conv1dTrial::Conv1dTrial(const Conv1dProblem& problem, Noise& noise, Machine& machine)
    : problem_(problem),
      machine_(machine),
      noise_(noise.values(problem.dtype)),
      weights_(std::make_unique<Weights>(problem, noise_)),
      x_bytes_(aligned(bytes_of(inputs(problem), problem.dtype))),
      y_bytes_(aligned(bytes_of(outputs(problem), problem.dtype))) {
  const int64_t cache = machine.info().cache_bytes > 0 ? machine.info().cache_bytes : kUnknownCache;
  constexpr int64_t kMostSets = 1 << 14;
  sets_ = std::min(2 * cache / (x_bytes_ + y_bytes_) + 1, kMostSets);
  x_ = machine.allocate(sets_ * x_bytes_);
  y_ = machine.allocate(sets_ * y_bytes_);
  noise.fill(x_.get(), problem.dtype,
             sets_ * x_bytes_ / static_cast<int64_t>(size_of(problem.dtype)));
  choose_sample();
}

Conv1dTrial::~Conv1dTrial() = default;

// Pieces at both ends of y, around the ends of rows, and anywhere.
void Conv1dTrial::choose_sample() {
  const int64_t count = outputs(problem_);
  const int64_t length = std::min(kPieceLength, count);
  std::mt19937_64 generator(1);
  const auto below = [&](int64_t limit) {
    return static_cast<int64_t>(generator() % static_cast<uint64_t>(limit));
  };
  for (int64_t i = 0; i < kPieces; ++i) {
    int64_t first = below(count);
    if (i == 0) first = 0;
    if (i == 1) first = count;
    if (i % 4 == 2) first = first / problem_.out_length * problem_.out_length - length / 2;
    sample_.push_back({std::clamp<int64_t>(first, 0, count - length), {}});
    sample_.back().exact.resize(static_cast<size_t>(length));
  }
  machine_.threads().parallel_for(kPieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Piece& piece = sample_[static_cast<size_t>(i)];
      for (int64_t j = 0; j < length; ++j) {
        piece.exact[static_cast<size_t>(j)] = exact(piece.first + j);
      }
    }
  });
}

double Conv1dTrial::exact(int64_t output) const {
  const Conv1dProblem& p = problem_;
  const float* weight = weights_->parameter("weight").data<float>();
  const int64_t l = output % p.out_length;
  const int64_t m = output / p.out_length % p.out_channels;
  const int64_t b = output / p.out_length / p.out_channels;
  const int64_t group = m / p.group_outputs();
  double sum = p.bias ? weights_->parameter("bias").data<float>()[m] : 0.0;
  for (int64_t c = 0; c < p.group_inputs(); ++c) {
    const int64_t channel = group * p.group_inputs() + c;
    const int64_t row = (b * p.in_channels + channel) * p.in_length;
    const float* taps = weight + (p.transposed ? channel * p.group_outputs() + m % p.group_outputs()
                                               : m * p.group_inputs() + c) *
                                     p.kernel_size;
    for (int64_t k = 0; k < p.kernel_size; ++k) {
      int64_t position = l * p.stride - p.pad_left + k * p.dilation;
      if (p.transposed) {
        const int64_t scaled = l + p.pad_left - k * p.dilation;
        if (scaled % p.stride != 0) continue;
        position = scaled / p.stride;
      }
      if (position < 0 || position >= p.in_length) continue;
      sum += double{taps[k]} * double{noise_[(row + position) % Noise::kPeriod]};
    }
  }
  return sum;
}

double Conv1dTrial::relative_error() const {
  double error_squares = 0.0;
  double exact_squares = 0.0;
  for (const Piece& piece : sample_) {
    Tensor found = Tensor::empty({static_cast<int64_t>(piece.exact.size())}, problem_.dtype);
    const char* source = static_cast<const char*>(y_.get()) + bytes_of(piece.first, problem_.dtype);
    machine_.copy(found.raw(), source, found.bytes());
    machine_.wait();
    found = found.to(DType::kF32);
    for (size_t i = 0; i < piece.exact.size(); ++i) {
      const double error = double{found.data<float>()[i]} - piece.exact[i];
      if (!std::isfinite(error)) return INFINITY;
      error_squares += error * error;
      exact_squares += piece.exact[i] * piece.exact[i];
    }
  }
  return std::sqrt(error_squares / exact_squares);
}

PrepareContext Conv1dTrial::context_of(const Conv1dProblem& p, WeightCache& weights) const {
  PrepareContext context;
  context.inputs = {{{p.batch, p.in_channels, p.in_length}, p.dtype}};
  context.outputs = {{{p.batch, p.out_channels, p.out_length}, p.dtype}};
  context.device = machine_.device();
  context.precision = p.precision;
  context.threads = machine_.threads().threads();
  context.layer = weights_.get();
  context.weights = &weights;
  return context;
}

Conv1dTrial::Result Conv1dTrial::run(const Conv1dKernel& kernel, Precision precision,
                                     double budget) {
  Conv1dProblem p = problem_;
  p.precision = precision;
  WeightCache weights;
  const Step step = kernel.prepare(p, context_of(p, weights));
  const auto workspace = machine_.allocate(step.workspace_bytes);
  const auto enqueue = [&](int64_t set) {
    const void* x = static_cast<const char*>(x_.get()) + set * x_bytes_;
    void* y = static_cast<char*>(y_.get()) + set * y_bytes_;
    StepContext context;
    context.inputs = &x;
    context.outputs = &y;
    context.workspace = workspace.get();
    context.stream = machine_.stream();
    context.threads = &machine_.threads();
    step.enqueue(context);
  };
  machine_.fill(y_.get(), kPoison, y_bytes_);
  machine_.fill(workspace.get(), kPoison, step.workspace_bytes);
  enqueue(0);
  machine_.wait();
  Result result;
  result.relative_error = relative_error();
  result.seconds = machine_.median_seconds(sets_, budget, enqueue);
  return result;
}

}  // namespace engine::cli
