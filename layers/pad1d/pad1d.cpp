// Pad1d: the last dimension continued at both ends (torch.nn.functional.pad).
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/cpu/share_work.h"
#include "engine/cpu/thread_pool.h"
#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "engine/layer.h"
#include "layers/pad1d/pad1d_launch.h"
#include "layers/shape/dim.h"

namespace engine {
namespace {

// Positions [begin, end) of one padded row.
template <typename T>
void pad_row(const PadProblem& problem, T value, const T* input, T* output, int64_t begin,
             int64_t end) {
  const auto edge = [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      const int64_t index = padded_source(i - problem.left, problem.length, problem.mode);
      output[i] = index < 0 ? value : input[index];
    }
  };
  const int64_t first = std::clamp(problem.left, begin, end);
  const int64_t last = std::clamp(problem.left + problem.length, begin, end);
  edge(begin, first);
  std::copy(input + (first - problem.left), input + (last - problem.left), output + first);
  edge(last, end);
}

template <typename T>
void pad1d_cpu(const PadProblem& problem, const T* input, T* output, ThreadPool& threads) {
  T value;
  std::memcpy(&value, &problem.value_bits, sizeof(T));
  const int64_t length = problem.output_length;
  const int64_t count = problem.rows * length;
  threads.parallel_for(count, cpu::element_grain(count), [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t row = begin / length;
      const int64_t row_end = std::min(end, (row + 1) * length);
      pad_row(problem, value, input + row * problem.length, output + row * length,
              begin - row * length, row_end - row * length);
      begin = row_end;
    }
  });
}

// `value` as an element of `dtype` stores it.
uint64_t stored_bits(double value, DType dtype) {
  uint64_t bits = 0;
  const auto store = [&](auto element) { std::memcpy(&bits, &element, sizeof(element)); };
  switch (dtype) {
    case DType::kF32:
      store(static_cast<float>(value));
      break;
    case DType::kF16:
      store(Half(static_cast<float>(value)));
      break;
    case DType::kBF16:
      store(BFloat16(static_cast<float>(value)));
      break;
    case DType::kI32:
      store(static_cast<int32_t>(value));
      break;
    case DType::kI64:
      store(static_cast<int64_t>(value));
      break;
  }
  return bits;
}

PaddingMode parse_mode(const std::string& name) {
  if (name == "reflect") return PaddingMode::kReflect;
  if (name == "replicate") return PaddingMode::kReplicate;
  if (name == "circular") return PaddingMode::kCircular;
  return PaddingMode::kZeros;
}

class Pad1d : public Layer {
 public:
  explicit Pad1d(const Attributes& attributes)
      : mode_(parse_mode(attributes.choice("mode", {"constant", "reflect", "replicate", "circular"},
                                           "constant"))),
        value_(attributes.number("value", 0.0)) {
    const std::vector<int64_t> padding = attributes.integers("padding");
    if (padding.empty() || padding.size() > 2) {
      attributes.fail("padding", fmt::format("expected a number or [left, right], found {} numbers",
                                             padding.size()));
    }
    left_ = padding.front();
    right_ = padding.back();
    if (left_ < 0 || right_ < 0) {
      attributes.fail("padding", "expected padding >= 0; use Slice to shorten a signal");
    }
  }

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    TensorSpec output = inputs[0];
    int64_t& length = output.shape[resolve_dim(-1, output.shape)];
    const int64_t most = std::max(left_, right_);
    if (mode_ == PaddingMode::kReflect && most >= length) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("reflect padding must be smaller than the length: found padding {} "
                              "and length {}",
                              most, length));
    }
    if (mode_ == PaddingMode::kCircular && most > length) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("circular padding must not exceed the length: found padding {} and "
                              "length {}",
                              most, length));
    }
    if (__builtin_add_overflow(length, left_, &length) ||
        __builtin_add_overflow(length, right_, &length)) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("padding [{}, {}] is too large", left_, right_));
    }
    return {output};
  }

  Step prepare(const PrepareContext& context) const override {
    const TensorSpec& input = context.inputs[0];
    PadProblem problem;
    problem.mode = mode_;
    problem.rows = product(input.shape, 0, input.shape.size() - 1);
    problem.length = input.shape.back();
    problem.left = left_;
    problem.output_length = context.outputs[0].shape.back();
    problem.element_bytes = static_cast<int64_t>(size_of(input.dtype));
    problem.value_bits = stored_bits(value_, input.dtype);
    if (context.device.is_cuda()) {
      return {"pad1d_cuda", "", 0, [problem](const StepContext& c) {
                if constexpr (kWithCuda) {
                  pad1d_cuda(problem, c.inputs[0], c.outputs[0], c.stream);
                }
              }};
    }
    return {"pad1d_cpu", "", 0, [problem](const StepContext& c) {
              if (problem.element_bytes == 8) {
                pad1d_cpu(problem, c.input<uint64_t>(), c.output<uint64_t>(), *c.threads);
              } else {
                pad1d_cpu(problem, c.input<uint32_t>(), c.output<uint32_t>(), *c.threads);
              }
            }};
  }

 private:
  PaddingMode mode_;
  double value_;
  int64_t left_ = 0;
  int64_t right_ = 0;
};

}  // namespace

void register_pad1d(LayerRegistry& registry) { registry.add<Pad1d>("Pad1d"); }

}  // namespace engine
