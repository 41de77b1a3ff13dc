// Upsample: the length of NCL stretched by nearest neighbour or linearly (torch.nn.Upsample).
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "engine/cpu/share_work.h"
#include "engine/cpu/thread_pool.h"
#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "engine/layer.h"
#include "layers/upsample/upsample_launch.h"

namespace engine {
namespace {

// Outputs [begin, end) of one row. The position moves on by a fixed fraction from one output to the
// next, so it is carried along instead of divided anew.
void upsample_row(const UpsampleProblem& p, const float* input, float* output, int64_t begin,
                  int64_t end) {
  const int64_t whole = p.step / p.denominator;
  const int64_t part = p.step % p.denominator;
  const int64_t first = begin * p.step + p.offset;
  int64_t left = first >= 0 ? first / p.denominator : -1;  // offsets are at least -denominator
  int64_t rest = first - left * p.denominator;
  for (int64_t t = begin; t < end; ++t) {
    if (!p.linear || left < 0) {
      output[t] = input[std::max(left, int64_t{0})];
    } else {
      const int64_t right = std::min(left + 1, p.length - 1);
      const float share = static_cast<float>(rest) / static_cast<float>(p.denominator);
      output[t] = (1.0f - share) * input[left] + share * input[right];
    }
    left += whole;
    rest += part;
    if (rest >= p.denominator) {
      rest -= p.denominator;
      ++left;
    }
  }
}

// The outputs of inputs [first, last), kFactor of each, none of which needs an input beyond the
// ends.
template <int kFactor>
void stretch(const UpsampleProblem& p, const float* input, float* output, int64_t first,
             int64_t last) {
  if (!p.linear) {
    for (int64_t i = first; i < last; ++i) {
      for (int r = 0; r < kFactor; ++r) output[i * kFactor + r] = input[i];
    }
    return;
  }
  float shares[kFactor];  // of the input to the right
  for (int r = 0; r < kFactor; ++r) {
    const int64_t rest = 2 * r + 1 - kFactor;
    shares[r] = static_cast<float>(rest < 0 ? rest + p.denominator : rest) /
                static_cast<float>(p.denominator);
  }
  for (int64_t i = first; i < last; ++i) {
    for (int r = 0; r < kFactor; ++r) {
      const float* left = input + i - (r < kFactor / 2 ? 1 : 0);
      output[i * kFactor + r] = (1.0f - shares[r]) * left[0] + shares[r] * left[1];
    }
  }
}

// How many outputs each input gets, where all get as many and are centred on them; else 0.
int64_t factor_of(const UpsampleProblem& p) {
  const int64_t step = p.linear ? 2 : 1;
  const int64_t factor = p.denominator / step;
  const int64_t offset = p.linear ? 1 - factor : 0;
  return p.step == step && p.offset == offset ? factor : 0;
}

// Outputs [begin, end) of one row, in vectors where the length is doubled or quadrupled.
void upsample_part(const UpsampleProblem& p, const float* input, float* output, int64_t begin,
                   int64_t end) {
  const int64_t factor = factor_of(p);
  if (factor != 2 && factor != 4) return upsample_row(p, input, output, begin, end);
  const int64_t edge = p.linear ? 1 : 0;
  const int64_t first = std::max((begin + factor - 1) / factor, edge);
  const int64_t last = std::max(first, std::min(end / factor, p.length - edge));
  const int64_t inside = std::clamp(first * factor, begin, end);
  upsample_row(p, input, output, begin, inside);
  if (factor == 2) stretch<2>(p, input, output, first, last);
  if (factor == 4) stretch<4>(p, input, output, first, last);
  upsample_row(p, input, output, std::clamp(last * factor, inside, end), end);
}

void upsample_cpu(const UpsampleProblem& problem, const float* input, float* output,
                  ThreadPool& threads) {
  const int64_t length = problem.output_length;
  const int64_t count = problem.rows * length;
  threads.parallel_for(count, cpu::element_grain(count), [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t row = begin / length;
      const int64_t row_end = std::min(end, (row + 1) * length);
      upsample_part(problem, input + row * problem.length, output + row * length,
                    begin - row * length, row_end - row * length);
      begin = row_end;
    }
  });
}

class Upsample : public Layer {
 public:
  explicit Upsample(const Attributes& attributes)
      : linear_(attributes.choice("mode", {"nearest", "linear"}, "nearest") == "linear"),
        align_corners_(attributes.boolean("align_corners", false)),
        size_(attributes.optional_positive("size")),
        scale_factor_(attributes.optional_positive("scale_factor")) {
    if (size_.has_value() == scale_factor_.has_value()) {
      attributes.fail(size_ ? "size" : "scale_factor", "expected either `size` or `scale_factor`");
    }
    if (align_corners_ && !linear_) {
      attributes.fail("align_corners", "align_corners needs mode: linear");
    }
  }

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    expect_rank(inputs[0], 3, "NCL");
    if (!is_floating(inputs[0].dtype)) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("expected a floating-point input, found {}", to_string(inputs[0])));
    }
    TensorSpec output = inputs[0];
    output.shape[2] = size_ ? *size_ : element_count({inputs[0].shape[2], *scale_factor_});
    element_count(output.shape);  // these two throw where lengths are too large
    make_problem(inputs[0].shape, output.shape);
    return {output};
  }

  Step prepare(const PrepareContext& context) const override {
    const DType dtype = context.inputs[0].dtype;
    const UpsampleProblem problem = make_problem(context.inputs[0].shape, context.outputs[0].shape);
    if (context.device.is_cuda()) {
      return {"upsample_cuda", "", 0, [=](const StepContext& c) {
                if constexpr (kWithCuda) {
                  upsample_cuda(problem, c.inputs[0], c.outputs[0], dtype, c.stream);
                }
              }};
    }
    return {"upsample_cpu", "", 0, [=](const StepContext& c) {
              upsample_cpu(problem, c.input<float>(), c.output<float>(), *c.threads);
            }};
  }

  int64_t flops(const std::vector<TensorSpec>&,
                const std::vector<TensorSpec>& outputs) const override {
    return linear_ ? 3 * outputs[0].elements() : 0;
  }

  std::optional<Reach> reach() const override {
    if (!scale_factor_) return std::nullopt;
    return Reach{linear_ ? 2 : 1, 1.0 / static_cast<double>(*scale_factor_)};
  }

 private:
  // torch's positions, as fractions: t * in / out rounded down for nearest, (t + 1/2) * in / out
  // - 1/2 for linear, and t * (in - 1) / (out - 1) with align_corners.
  UpsampleProblem make_problem(const Shape& input, const Shape& output) const {
    UpsampleProblem problem;
    problem.linear = linear_;
    problem.rows = input[0] * input[1];
    problem.length = input[2];
    problem.output_length = output[2];
    const bool corners = align_corners_ && output[2] > 1;
    int64_t in = corners ? input[2] - 1 : input[2];
    int64_t out = corners ? output[2] - 1 : output[2];
    const int64_t divisor = std::gcd(in, out);
    in /= divisor;
    out /= divisor;
    const bool centres = linear_ && !align_corners_;
    problem.step = centres ? 2 * in : in;
    problem.offset = centres ? in - out : 0;
    problem.denominator = centres ? 2 * out : out;
    int64_t last = 0;
    if (__builtin_mul_overflow(output[2], problem.step, &last)) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("length {} does not resample to {}: both are too large", input[2],
                              output[2]));
    }
    return problem;
  }

  bool linear_;
  bool align_corners_;
  std::optional<int64_t> size_;
  std::optional<int64_t> scale_factor_;
};

}  // namespace

void register_upsample(LayerRegistry& registry) { registry.add<Upsample>("Upsample"); }

}  // namespace engine
