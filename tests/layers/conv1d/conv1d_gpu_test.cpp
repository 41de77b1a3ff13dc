// Conv1d and ConvTranspose1d on the GPU at sizes where indices of 32 bits, or grids without a
// stride, would fail. Inputs are zero but for a few windows of small integers, around which the
// result is exact in every precision and is compared with the formula.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>

#include "engine/cuda/runtime.h"
#include "engine/plan/weight_cache.h"
#include "layers/conv1d/conv1d.h"
#include "layers/conv1d/conv1d_select.h"
#include "tests/support/gpu.h"
#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

constexpr int64_t kWindow = 64;

constexpr int64_t kTaps = 3;

Tensor small_integers(const Shape& shape, Random& random) {
  Tensor tensor = Tensor::empty(shape);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    tensor.data<float>()[i] = static_cast<float>(random.integer(-3, 3));
  }
  return tensor;
}

// Copies elements [begin, begin + count) of a GPU tensor to or from the host.
Tensor part_of(Tensor& tensor, int64_t begin, int64_t count) {
  const auto size = static_cast<int64_t>(size_of(tensor.dtype()));
  return Tensor::wrap(static_cast<char*>(tensor.raw()) + begin * size, {count}, tensor.dtype(),
                      tensor.device());
}

void write(Tensor& target, int64_t begin, const Tensor& values) {
  const Tensor stored = values.to(target.dtype());
  Tensor part = part_of(target, begin, stored.elements());
  cuda::copy_async(part.raw(), stored.raw(), stored.bytes(), target.device(), nullptr);
  cuda::synchronize_default(target.device());
}

// A Conv1d with a big input on the GPU:
//   y[b, m, l] = bias[m] + sum over c, k of w[m, c, k] x[b, c, l + k - 1].
class BigConv1d {
 public:
  BigConv1d(const Shape& input, int64_t out_channels, Precision precision)
      : precision_(precision),
        random_(7),
        conv_(Attributes::parse(
            fmt::format("{{out_channels: {}, kernel_size: 3, padding: 1}}", out_channels))),
        x_(Tensor::zeros(input, storage_dtype(precision), Device::cuda())),
        y_(Tensor::zeros(conv_.infer({x_.spec()})[0].shape, x_.dtype(), Device::cuda())) {
    conv_.set_parameters({{"weight", small_integers({out_channels, input[1], kTaps}, random_)},
                          {"bias", small_integers({out_channels}, random_)}});
  }

  static bool fits(const Shape& input, int64_t out_channels, Precision precision) {
    const double elements = static_cast<double>(element_count(input)) *
                            static_cast<double>(input[1] + out_channels) /
                            static_cast<double>(input[1]);
    const double bytes = elements * static_cast<double>(size_of(storage_dtype(precision)));
    return 1.1 * bytes < static_cast<double>(cuda::device_info(0).memory_bytes);
  }

  // Fills x[b, :, begin ...] with integers, runs `kernel`, and compares the window's results.
  void check_window(const Conv1dKernel& kernel, int64_t b, int64_t begin) {
    const int64_t channels = x_.size(1), length = x_.size(2);
    std::vector<Tensor> rows;
    for (int64_t c = 0; c < channels; ++c) {
      rows.push_back(small_integers({kWindow}, random_));
      write(x_, (b * channels + c) * length + begin, rows.back());
    }
    run(kernel);
    for (int64_t m = 0; m < y_.size(1); ++m) {
      const int64_t at = (b * y_.size(1) + m) * length + begin;
      const Tensor found = part_of(y_, at, kWindow).to(Device::cpu()).to(DType::kF32);
      CAPTURE(m);
      // The window's ends also see the zeros beside it.
      for (int64_t l = 0; l < kWindow; ++l) {
        CAPTURE(l);
        CHECK(found.data<float>()[l] == expected(rows, m, l));
      }
    }
  }

  Conv1dProblem problem() const { return conv_.problem(x_.spec(), precision_); }

 private:
  float expected(const std::vector<Tensor>& rows, int64_t m, int64_t l) const {
    float sum = conv_.parameter("bias").data<float>()[m];
    const float* weight =
        conv_.parameter("weight").data<float>() + m * static_cast<int64_t>(rows.size()) * kTaps;
    for (const Tensor& row : rows) {
      for (int64_t k = 0; k < kTaps; ++k, ++weight) {
        const int64_t position = l + k - 1;
        if (position >= 0 && position < kWindow) sum += *weight * row.data<float>()[position];
      }
    }
    return sum;
  }

  void run(const Conv1dKernel& kernel) {
    WeightCache weights;
    PrepareContext context;
    context.inputs = {x_.spec()};
    context.outputs = {y_.spec()};
    context.device = Device::cuda();
    context.precision = precision_;
    context.layer = &conv_;
    context.weights = &weights;
    const Step step = kernel.prepare(problem(), context);
    Tensor workspace = Tensor::empty({step.workspace_bytes / 4 + 1}, DType::kF32, Device::cuda());
    const cuda::Stream stream(Device::cuda());
    const void* inputs[] = {x_.raw()};
    void* outputs[] = {y_.raw()};
    step.enqueue({inputs, outputs, workspace.raw(), stream.handle(), nullptr});
    stream.synchronize();
  }

  Precision precision_;
  Random random_;
  Conv1d conv_;
  Tensor x_;
  Tensor y_;
};

void check_big(const Shape& input, int64_t out_channels, Precision precision,
               const std::vector<int64_t>& begins) {
  if (!BigConv1d::fits(input, out_channels, precision)) {
    MESSAGE("skipped: the GPU's memory does not hold ", to_string(input));
    return;
  }
  CAPTURE(to_string(input));
  for (const Conv1dKernel& kernel : conv1d_kernels()) {
    if (kernel.device != Device::Type::kCuda) continue;
    BigConv1d conv(input, out_channels, precision);
    if (!kernel.can_implement(conv.problem())) continue;
    INFO("kernel ", std::string(kernel.name));
    for (const int64_t begin : begins) {
      CAPTURE(begin);
      conv.check_window(kernel, input[0] - 1, begin);
    }
  }
}

}  // namespace

TEST_SUITE("gpu") {
  TEST_CASE("Conv1d longer than a grid of 65,535 blocks of 256") {
    if (!has_gpu()) return;
    const int64_t length = int64_t{65535} * 256 + 12345;
    for (const Precision precision : {Precision::kFp32, Precision::kFp16}) {
      check_big({1, 2, length}, 3, precision, {0, 1000000, length - kWindow});
    }
  }

  TEST_CASE("Conv1d past 2^31 elements in one row") {
    if (!has_gpu()) return;
    const int64_t length = (int64_t{1} << 31) + 1001;
    check_big({1, 1, length}, 1, Precision::kFp16,
              {0, length / 2, (int64_t{1} << 31) - 32, length - kWindow});
  }

  TEST_CASE("Conv1d past 2^31 elements over many rows") {
    if (!has_gpu()) return;
    const int64_t length = int64_t{1} << 28;
    check_big({5, 2, length}, 3, Precision::kFp16, {0, length - kWindow});
  }

  TEST_CASE("Conv1d and ConvTranspose1d of more than 65,535 samples and channels") {
    if (!has_gpu()) return;
    const int64_t many = 66000;
    check_layer({"Conv1d", "{out_channels: 2, kernel_size: 2, padding: 1}", {{{many, 1, 2}}}, 1});
    check_layer({"Conv1d",
                 fmt::format("{{out_channels: {}, kernel_size: 2, groups: {}}}", many, many),
                 {{{1, many, 3}}},
                 2});
    check_layer(
        {"Conv1d", fmt::format("{{out_channels: {}, kernel_size: 1}}", many), {{{1, 2, 2}}}, 3});
    check_layer(
        {"ConvTranspose1d", "{out_channels: 2, kernel_size: 3, stride: 2}", {{{many, 1, 2}}}, 4});
    check_layer({"ConvTranspose1d",
                 fmt::format("{{out_channels: {}, kernel_size: 2, groups: {}}}", many, many),
                 {{{1, many, 3}}},
                 5});
    check_layer({"Linear", "{out_features: 2}", {{{many, 3}}}, 6});
  }
}

}  // namespace engine::test
