// The depthwise kernel of packs, thread by thread on the CPU, against the formula in double.
#include "layers/conv1d/cuda/depthwise_packs.cu"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "layers/activation/activation_math.h"
#include "tests/emulation/guarded.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

constexpr float kUnwritten = 12345.0f;

Conv1dProblem draw_problem(DType dtype, Random& random) {
  Conv1dProblem p;
  p.dtype = dtype;
  p.batch = random.integer(1, 2);
  p.in_channels = p.groups = random.integer(1, 3);
  p.out_channels = p.in_channels * random.pick<int64_t>({1, 1, 2});
  p.kernel_size = random.pick<int64_t>({1, 2, 3, 4, 7, 8, 9, 16, 31, 60});
  p.dilation = p.kernel_size == 1 ? 1 : random.pick<int64_t>({1, 1, 1, 2, 5, 64, 300});
  p.in_length = random.pick<int64_t>({1, 5, 100, 513, 1500, 3001});
  p.padding_mode = random.pick<PaddingMode>({PaddingMode::kZeros, PaddingMode::kReflect,
                                             PaddingMode::kReplicate, PaddingMode::kCircular});
  const int64_t span = (p.kernel_size - 1) * p.dilation;
  const bool bounded =
      p.padding_mode == PaddingMode::kReflect || p.padding_mode == PaddingMode::kCircular;
  if (bounded) p.in_length = std::max(p.in_length, span + 1);
  const int64_t most = bounded ? std::min(span, p.in_length - 1) : span + 3;
  p.pad_left = random.integer(0, most);
  p.pad_right = random.integer(0, most);
  p.in_length = std::max(p.in_length, span + 1 - p.pad_left - p.pad_right);
  p.out_length = p.in_length + p.pad_left + p.pad_right - span;
  if (random.chance(0.3)) p.activation.kind = Activation::Kind::kSiLU;
  p.residual = random.chance(0.3);
  if (random.chance(0.5)) p.residual_activation.kind = Activation::Kind::kReLU;
  return p;
}

// One convolution on random data; returns its relative error in L2.
template <typename T>
class DepthwiseEmulation {
 public:
  DepthwiseEmulation(const Conv1dProblem& problem, Random& random)
      : p_(problem),
        x_(p_.batch * p_.in_channels * p_.in_length, random.integer(0, 7), NAN),
        y_(outputs(), random.integer(0, 7), kUnwritten),
        residual_(outputs(), random.integer(0, 7), NAN) {
    const auto draw = [&] { return static_cast<float>(random.normal()); };
    for (int64_t i = 0; i < p_.batch * p_.in_channels * p_.in_length; ++i) {
      x_.data()[i] = static_cast<T>(draw());
    }
    for (int64_t i = 0; i < outputs(); ++i) {
      residual_.data()[i] = static_cast<T>(draw());
      y_.data()[i] = static_cast<T>(NAN);
    }
    taps_.resize(static_cast<size_t>(p_.out_channels * p_.kernel_size));
    for (float& tap : taps_) tap = draw() / std::sqrt(static_cast<float>(p_.kernel_size));
    bias_.resize(static_cast<size_t>(p_.out_channels));
    for (float& bias : bias_) bias = draw();
  }

  double run(int64_t most_passes) {
    const cuda::DepthwisePacks cut = cuda::cut_depthwise_packs(p_, most_passes);
    const int64_t pitch = cut.weights.pitch();
    Guarded<float> weights(p_.out_channels * pitch, 0, NAN);
    for (int64_t m = 0; m < p_.out_channels; ++m) {
      for (int64_t k = 0; k < p_.kernel_size; ++k) weights.data()[m * pitch + k] = tap(m, k);
      weights.data()[m * pitch + cut.weights.bias_place()] = bias_[static_cast<size_t>(m)];
    }
    cuda::depthwise_packs(
        p_, cut, {x_.data(), weights.data(), p_.residual ? residual_.data() : nullptr, y_.data()},
        nullptr);
    CHECK(y_.is_guard_intact(kUnwritten));
    return error();
  }

 private:
  int64_t outputs() const { return p_.batch * p_.out_channels * p_.out_length; }
  float tap(int64_t m, int64_t k) const {
    return taps_[static_cast<size_t>(m * p_.kernel_size + k)];
  }

  double exact(int64_t row, int64_t l) {
    const int64_t m = row % p_.out_channels;
    const T* x = x_.data() + row / p_.group_outputs() * p_.in_length;
    double sum = bias_[static_cast<size_t>(m)];
    for (int64_t k = 0; k < p_.kernel_size; ++k) {
      const int64_t at =
          padded_source(l - p_.pad_left + k * p_.dilation, p_.in_length, p_.padding_mode);
      if (at >= 0) sum += static_cast<double>(tap(m, k)) * static_cast<float>(x[at]);
    }
    if (p_.activation.kind == Activation::Kind::kSiLU) sum /= 1.0 + std::exp(-sum);
    if (!p_.residual) return sum;
    sum += static_cast<float>(residual_.data()[row * p_.out_length + l]);
    return p_.residual_activation.kind == Activation::Kind::kReLU ? std::max(sum, 0.0) : sum;
  }

  double error() {
    double difference = 0.0, norm = 0.0;
    for (int64_t i = 0; i < outputs(); ++i) {
      const double expected = exact(i / p_.out_length, i % p_.out_length);
      const double got = static_cast<float>(y_.data()[i]);
      difference += (got - expected) * (got - expected);
      norm += expected * expected;
    }
    return std::sqrt(difference / norm);
  }

  Conv1dProblem p_;
  Guarded<T> x_, y_, residual_;
  std::vector<float> taps_, bias_;
};

template <typename T>
void check(DType dtype, double tolerance, uint64_t first_seed) {
  for (uint64_t seed = first_seed; seed < first_seed + 60; ++seed) {
    Random random(seed);
    const Conv1dProblem problem = draw_problem(dtype, random);
    const int64_t most_passes = random.integer(1, 8);
    CAPTURE(seed);
    CAPTURE(to_string(problem));
    CAPTURE(most_passes);
    CHECK(DepthwiseEmulation<T>(problem, random).run(most_passes) < tolerance);
  }
}

}  // namespace

TEST_CASE("depthwise convolutions by packs on random problems, in f32") {
  check<float>(DType::kF32, 1e-6, 100);
}

TEST_CASE("depthwise convolutions by packs on random problems, in f16") {
  check<__half>(DType::kF16, 6e-4, 200);
}

TEST_CASE("depthwise convolutions by packs on random problems, in bf16") {
  check<__nv_bfloat16>(DType::kBF16, 5e-3, 300);
}

}  // namespace engine::test
