// Every row of the Conv1d table on every problem that it can compute, and the choice among them.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/cpu/thread_pool.h"
#include "engine/error.h"
#include "engine/plan/weight_cache.h"
#include "layers/conv1d/conv1d.h"
#include "layers/conv1d/conv1d_select.h"
#include "layers/conv1d/cpu/winograd_panel.h"
#include "tests/layers/conv1d/kernel_check.h"
#include "tests/layers/conv1d/random_conv1d.h"
#include "tests/support/expect_error.h"
#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

Conv1dProblem problem_of(const std::string& attributes, const Shape& input,
                         Precision precision = Precision::kFp32) {
  return problem_of(LayerCase{"Conv1d", attributes, {{input}}}, precision);
}

std::string chosen(const std::string& attributes, const Shape& input, Device::Type device,
                   Precision precision = Precision::kFp32) {
  return select_conv1d(problem_of(attributes, input, precision), device).kernel->name;
}

// Whether this build has the row, for the machine's GPU or, where there is none, for any.
bool has_cuda_row(const std::string& name) {
  const std::vector<std::string> names = conv1d_kernel_names(Device::Type::kCuda);
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Whether a random problem of the sweep, in any precision, is one for this kernel.
bool is_tried(const Conv1dKernel& kernel) {
  for (uint64_t seed = 1001; seed <= 1080; ++seed) {
    for (const LayerCase& layer :
         {random_conv1d(seed), random_long_conv1d(seed), random_wide_conv1d(seed),
          random_aligned_conv1d(seed + 3000), random_conv_transpose1d(seed)}) {
      for (const auto precision :
           {Precision::kFp32, Precision::kTf32, Precision::kFp16, Precision::kBf16}) {
        if (kernel.can_implement(problem_of(layer, precision))) return true;
      }
    }
  }
  return false;
}

TEST_CASE("every Conv1d kernel on random problems") {
  for (uint64_t seed = 1001; seed <= 1120; ++seed) check_kernels(random_conv1d(seed));
}

TEST_CASE("every Conv1d kernel on random problems with many channels") {
  for (uint64_t seed = 3001; seed <= 3024; ++seed) check_kernels(random_wide_conv1d(seed));
}

TEST_CASE("every Conv1d kernel on random problems with aligned rows") {
  for (uint64_t seed = 4001; seed <= 4032; ++seed) check_kernels(random_aligned_conv1d(seed));
}

TEST_CASE("every Conv1d kernel on random transposed problems") {
  for (uint64_t seed = 1001; seed <= 1080; ++seed) check_kernels(random_conv_transpose1d(seed));
}

// Whatever scales kernels multiply by; f16 holds 2^-14 to 2^15.
TEST_CASE("every Conv1d kernel on very large and very small values") {
  for (const char* attributes :
       {"{out_channels: 72, kernel_size: 5, padding: 2, bias: false}",
        "{out_channels: 72, kernel_size: 8, stride: 4, padding: 3, bias: false}"}) {
    for (const int exponent : {-100, -60, -20, 20, 60, 110}) {
      CAPTURE(exponent);
      const LayerCase layer{"Conv1d", attributes, {{{2, 40, 1024}}}, 5};
      check_fused_kernels({layer, {}, false, {}, {exponent, 0}});
    }
  }
}

// Of terms as large as each other, whose factors are not.
TEST_CASE("every Conv1d kernel on channels of very different magnitudes") {
  for (const char* attributes :
       {"{out_channels: 72, kernel_size: 5, padding: 2, bias: false}",
        "{out_channels: 72, kernel_size: 8, stride: 4, padding: 3, bias: false}"}) {
    for (const int step : {-2, 1, 2}) {
      CAPTURE(step);
      const LayerCase layer{"Conv1d", attributes, {{{2, 14, 1024}}}, 6};
      check_fused_kernels({layer, {}, false, {}, {0, step}});
    }
  }
}

// One value that a scale drawn from the others has no room for.
TEST_CASE("every Conv1d kernel on a value much larger than the others") {
  for (const char* attributes :
       {"{out_channels: 72, kernel_size: 5, padding: 2, bias: false}",
        "{out_channels: 72, kernel_size: 8, stride: 4, padding: 3, bias: false}"}) {
    const LayerCase layer{"Conv1d", attributes, {{{3, 40, 1024}}}, 7};
    check_fused_kernels({layer, {}, false, {}, {0, 0, 20}});
  }
}

TEST_CASE("every Conv1d kernel is tried by some random problem") {
  for (const Conv1dKernel& kernel : conv1d_kernels()) {
    INFO("kernel ", std::string(kernel.name));
    CHECK(is_tried(kernel));
  }
}

TEST_CASE("every Conv1d kernel on random problems with long kernels") {
  for (uint64_t seed = 2001; seed <= 2024; ++seed) check_kernels(random_long_conv1d(seed));
}

// Where one cyclic product holds the whole signal, where its padding wraps onto its padding, and
// where a kernel is cut into parts of which some read nothing but padding.
TEST_CASE("every Conv1d kernel with kernels about as long as the input") {
  check_kernels({"Conv1d",
                 "{out_channels: 4, groups: 4, kernel_size: 1999, padding: same}",
                 {{{3, 4, 2000}}},
                 1});
  check_kernels({"Conv1d",
                 "{out_channels: 2, groups: 2, kernel_size: 2000, padding: causal}",
                 {{{1, 2, 2000}}},
                 2});
  check_kernels(
      {"Conv1d", "{out_channels: 1, kernel_size: 6000, padding: causal}", {{{1, 1, 6000}}}, 3});
  check_kernels(
      {"Conv1d",
       "{out_channels: 1, kernel_size: 9001, padding: [20, 4000], padding_mode: circular}",
       {{{1, 1, 8000}}},
       4});
}

// Strides that divide the dilation, that share a divisor with it, that do not, and that pass over
// the whole kernel; signals that end within padding.
TEST_CASE("every Conv1d kernel with long kernels and strides") {
  auto check = [seed = uint64_t{1}](const std::string& attributes, const Shape& input) mutable {
    check_kernels({"Conv1d", fmt::format("{{{}}}", attributes), {{input}}, seed++});
  };
  check("out_channels: 5, kernel_size: 128, stride: 4, padding: 62", {2, 1, 1601});
  check("out_channels: 4, kernel_size: 121, stride: 3, padding: [200, 7]", {1, 2, 1000});
  check("out_channels: 4, kernel_size: 130, stride: 2, dilation: 4, padding: 3", {1, 1, 1500});
  check("out_channels: 6, kernel_size: 70, stride: 6, dilation: 4, groups: 3, padding: 90",
        {1, 6, 700});
  check("out_channels: 3, kernel_size: 120, stride: 130, padding: 10", {1, 1, 2000});
  check("out_channels: 2, kernel_size: 150, stride: 7, padding: 149, padding_mode: reflect",
        {1, 1, 400});
  check("out_channels: 2, kernel_size: 150, stride: 5, padding: 70, padding_mode: circular",
        {1, 1, 400});
}

TEST_CASE("every Conv1d kernel with more channels and taps than a tile holds") {
  check_kernels({"Conv1d", "{out_channels: 7, kernel_size: 3, padding: 1}", {{{1, 400, 130}}}, 1});
  check_kernels(
      {"Conv1d", "{out_channels: 3, kernel_size: 9000, padding: 100}", {{{1, 2, 9100}}}, 2});
  check_kernels({"Conv1d", "{out_channels: 66, kernel_size: 1}", {{{2, 260, 77}}}, 3});
  check_kernels({"Conv1d", "{out_channels: 2, kernel_size: 3, stride: 2}", {{{1, 1, 20011}}}, 4});
  check_kernels({"ConvTranspose1d",
                 "{out_channels: 7, kernel_size: 5, stride: 2, padding: 1}",
                 {{{1, 400, 130}}},
                 5});
}

// Samples that are shorter than a tile, which GEMMs may run across.
TEST_CASE("every Conv1d kernel on many short samples") {
  for (const int64_t length : {5, 50}) {
    for (const char* type : {"Conv1d", "ConvTranspose1d"}) {
      for (const char* attributes :
           {"{out_channels: 128, kernel_size: 3, padding: 1}",
            "{out_channels: 72, kernel_size: 4, stride: 2, padding: 1, groups: 2}"}) {
        check_kernels({type, attributes, {{{150, 64, length}}}, static_cast<uint64_t>(length)});
      }
    }
  }
}

// So few tiles that blocks share them along the reduction: all rounds but the last are left out.
TEST_CASE("every Conv1d kernel on few tiles of long sums") {
  check_kernels({"Conv1d",
                 "{out_channels: 140, kernel_size: 5, stride: 2, padding: 2}",
                 {{{1, 700, 301}}},
                 30});
  check_kernels(
      {"Conv1d", "{out_channels: 40, kernel_size: 9, padding: 4}", {{{2, 515, 133}}}, 31});
  check_kernels({"ConvTranspose1d",
                 "{out_channels: 33, kernel_size: 8, stride: 4, padding: 2}",
                 {{{1, 900, 70}}},
                 32});
}

TEST_CASE("every Conv1d kernel on kernels of one tap") {
  // More outputs than the GPU adds biases to at once.
  const LayerCase large{"Conv1d", "{out_channels: 4096, kernel_size: 1}", {{{1, 8, 1032}}}, 10};
  check_fused_kernels({large, {}, false, {}});
  check_kernels({"Conv1d", "{out_channels: 150, kernel_size: 1}", {{{2, 48, 333}}}, 11});
  const LayerCase layer{"Conv1d", "{out_channels: 72, kernel_size: 1}", {{{3, 40, 200}}}, 12};
  for (const Following& following : followings()) {
    check_fused_kernels({layer, following, false, {}});
  }
}

// Read where they are up to the last input, whose vector is one of two or three, or alone.
TEST_CASE("every Conv1d kernel on rows that end within a vector") {
  uint64_t seed = 400;
  for (const int length : {15, 17, 33, 47, 49, 63, 97, 141, 250, 301}) {
    check_kernels({"Conv1d", "{out_channels: 29, kernel_size: 1}", {{{2, 18, length}}}, seed++});
    check_kernels({"Conv1d", "{out_channels: 13, kernel_size: 3}", {{{1, 24, length}}}, seed++});
  }
}

// Rows in place and packed, with whole blocks and a last one of every width; taps that ascend and,
// transposed, descend.
TEST_CASE("every Conv1d kernel on rows whose taps lie close together") {
  uint64_t seed = 200;
  for (const int taps : {2, 3, 9, 17}) {
    for (const int dilation : {1, 2, 5, 16}) {
      for (const int length : {192, 250, 445, 777}) {
        const std::string attributes = fmt::format(
            "{{out_channels: 6, groups: 3, kernel_size: {}, dilation: {}, padding: {}}}", taps,
            dilation, dilation * taps / 2);
        check_kernels({"Conv1d", attributes, {{{2, 3, length}}}, seed++});
        check_kernels({"ConvTranspose1d", attributes, {{{1, 3, length}}}, seed++});
      }
    }
  }
}

// Pairs of outputs within and across vectors, with one or both of them beyond the end.
TEST_CASE("every Conv1d kernel on dilated pairs of outputs") {
  uint64_t seed = 20;
  for (const int dilation : {1, 2, 3, 4, 5, 6, 7, 8, 11, 15, 16, 17, 24, 32, 40, 70}) {
    for (const int length : {dilation, dilation + 1, 97, 2 * dilation, 301}) {
      check_kernels({"Conv1d",
                     fmt::format("{{out_channels: 11, kernel_size: 3, dilation: {}, padding: {}, "
                                 "padding_mode: replicate}}",
                                 dilation, dilation),
                     {{{2, 24, length + 2 * dilation}}},
                     seed++});
    }
  }
}

TEST_CASE("every Conv1d kernel on filters in groups of three taps") {
  uint64_t seed = 80;
  for (const int taps : {3, 4, 5, 6, 7, 11, 15, 31}) {
    for (const int stride : {1, 2, 5}) {
      check_kernels({"Conv1d",
                     fmt::format("{{out_channels: 34, groups: 2, kernel_size: {}, stride: {}, "
                                 "padding: {}}}",
                                 taps, stride, taps / 2),
                     {{{2, 46, 333}}},
                     seed++});
    }
  }
  // Sums in several parts, of several tiles.
  check_kernels({"Conv1d", "{out_channels: 20, kernel_size: 5, padding: 2}", {{{1, 400, 700}}}, 1});
  check_kernels({"Conv1d",
                 "{out_channels: 9, kernel_size: 3, dilation: 20, stride: 4}",
                 {{{1, 300, 900}}},
                 2});
}

TEST_CASE("every Conv1d kernel on long reductions for few outputs") {
  check_kernels({"Conv1d", "{out_channels: 10, kernel_size: 1}", {{{1, 2049, 1}}}, 5});
  check_kernels({"Conv1d", "{out_channels: 3, kernel_size: 7, padding: 3}", {{{1, 513, 40}}}, 6});
  check_kernels({"Conv1d",
                 "{out_channels: 20, kernel_size: 5, padding: 4, dilation: 2, padding_mode: "
                 "reflect}",
                 {{{1, 700, 9}}},
                 7});
  check_kernels(
      {"Conv1d", "{out_channels: 200, kernel_size: 3, stride: 2, groups: 2}", {{{1, 66, 601}}}, 8});
  check_kernels({"Conv1d", "{out_channels: 130, kernel_size: 3}", {{{3, 33, 701}}}, 9});
}

TEST_CASE("every Conv1d kernel on problems with one output for each sample and channel") {
  check_kernels({"Conv1d", "{out_channels: 37, kernel_size: 3, padding: 1}", {{{70, 21, 1}}}, 1});
  check_kernels({"Conv1d",
                 "{out_channels: 5, kernel_size: 4, padding: [2, 1], padding_mode: replicate}",
                 {{{3, 9, 1}}},
                 2});
  check_kernels({"Conv1d", "{out_channels: 300, kernel_size: 7}", {{{1, 90, 7}}}, 3});
  check_kernels({"ConvTranspose1d",
                 "{out_channels: 6, kernel_size: 5, stride: 2, padding: 2}",
                 {{{8, 11, 1}}},
                 4});
}

TEST_CASE("every Conv1d kernel on depthwise problems of many shapes") {
  auto check = [seed = uint64_t{10}](const std::string& attributes, const Shape& input) mutable {
    const int64_t channels = input[1];
    check_kernels(
        {"Conv1d",
         fmt::format("{{groups: {}, in_channels: {}, {}}}", channels, channels, attributes),
         {{input}},
         seed++});
  };
  // Rows of several blocks, of no multiple of any pack.
  check("out_channels: 3, kernel_size: 4, padding: 3", {2, 3, 5003});
  check("out_channels: 2, kernel_size: 3, dilation: 64, padding: 64", {1, 2, 9001});
  check("out_channels: 2, kernel_size: 63, padding: same", {1, 2, 7777});
  check("out_channels: 2, kernel_size: 255, padding: causal, padding_mode: replicate",
        {1, 2, 4100});
  check("out_channels: 64, kernel_size: 4, padding: 3", {4, 64, 9001});
  // Taps farther apart than a warp's outputs, and more of them than it has shared memory for.
  check("out_channels: 2, kernel_size: 3, dilation: 3000, padding: 3000", {1, 2, 7001});
  check("out_channels: 2, kernel_size: 60, dilation: 300, padding: 9000", {1, 2, 501});
  // Rows much shorter than a block, also shorter than their padding.
  check("out_channels: 37, kernel_size: 3, padding: 1", {3, 37, 101});
  check("out_channels: 50, kernel_size: 7, padding: 3, padding_mode: reflect", {2, 50, 29});
  check("out_channels: 40, kernel_size: 31, padding: 40", {1, 40, 3});
  // Short rows, of one vector and of several, the last two of which reach beyond them.
  check("out_channels: 6, kernel_size: 9, padding: 4", {2, 6, 250});
  check("out_channels: 5, kernel_size: 3, dilation: 16, padding: 16", {2, 5, 208});
  check("out_channels: 9, kernel_size: 33, padding: [16, 16]", {1, 9, 14});
  check("out_channels: 4, kernel_size: 4", {3, 4, 20});
  // All widths of a block, one and two of them; taps that leave vectors between them out.
  for (const int length : {16, 31, 47, 64, 79, 95, 100, 113, 129, 150, 175, 191, 193, 209, 400}) {
    check("out_channels: 19, kernel_size: 9, padding: 16, dilation: 4", {1, 19, length});
    check("out_channels: 3, kernel_size: 2, padding: 16, dilation: 32", {2, 3, length});
  }
  check("out_channels: 130, kernel_size: 5, padding: 2, padding_mode: circular", {2, 130, 2});
  // Strides, with and without a divisor in common with the dilation; several outputs a channel.
  check("out_channels: 6, kernel_size: 9, stride: 2, padding: 4", {1, 6, 4001});
  check("out_channels: 6, kernel_size: 8, stride: 4, dilation: 6, padding: 20", {1, 3, 3003});
  check("out_channels: 4, kernel_size: 2, stride: 9, dilation: 5", {1, 4, 997});
  check("out_channels: 9, kernel_size: 5, padding: 2", {1, 3, 1500});
}

TEST_CASE("Conv1d kernels have names of their own") {
  std::vector<std::string> names;
  for (const Conv1dKernel& kernel : conv1d_kernels()) {
    CHECK(std::string(kernel.name).rfind("conv1d_", 0) == 0);
    CHECK(std::find(names.begin(), names.end(), kernel.name) == names.end());
    names.push_back(kernel.name);
  }
  CHECK(names.size() >= 3);
}

TEST_CASE("the CPU's choice among Conv1d kernels") {
  const auto device = Device::Type::kCpu;
  CHECK(chosen("{out_channels: 128, kernel_size: 3}", {2, 64, 131072}, device) ==
        (cpu::winograd_loop().lanes >= 8 ? "conv1d_winograd_cpu" : "conv1d_dense_cpu"));
  CHECK(chosen("{out_channels: 128, kernel_size: 1}", {2, 64, 131072}, device) ==
        "conv1d_dense_cpu");
  CHECK(chosen("{out_channels: 512, kernel_size: 3, padding: 1}", {1, 512, 9}, device) ==
        "conv1d_dense_channels_cpu");
  CHECK(chosen("{out_channels: 512, kernel_size: 3, groups: 512}", {1, 512, 16000}, device) ==
        "conv1d_rows_cpu");
  CHECK(chosen("{out_channels: 64, kernel_size: 3, padding: 1}", {1, 1, 65536}, device) ==
        "conv1d_rows_cpu");
  CHECK(chosen("{out_channels: 256, kernel_size: 3, padding: 1}", {64, 256, 1}, device) ==
        "conv1d_matrix_cpu");
}

TEST_CASE("the CPU computes with fewer products where that is as accurate, and faster") {
  if (cpu::winograd_loop().lanes < 8) return;
  const auto choice = [](const std::string& attributes, const Shape& input) {
    return chosen(attributes, input, Device::Type::kCpu);
  };
  const std::string winograd = "conv1d_winograd_cpu";
  for (const int dilation : {1, 2, 3, 4, 5, 32, 128}) {
    // Pieces of five outputs leave four of AVX2's 24 columns idle.
    if (dilation == 5 && cpu::winograd_loop().lanes == 8) continue;
    const std::string attributes = fmt::format(
        "{{out_channels: 64, kernel_size: 3, padding: causal, dilation: {}}}", dilation);
    CHECK(choice(attributes, {1, 64, 16384}) == winograd);
  }
  CHECK(choice("{out_channels: 128, kernel_size: 80, stride: 4}", {1, 1, 16000}) == winograd);
  CHECK(choice("{out_channels: 512, kernel_size: 16, stride: 8}", {1, 256, 4000}) == winograd);
  // Few products, two taps, few outputs.
  CHECK(choice("{out_channels: 64, kernel_size: 3}", {1, 4, 16384}) != winograd);
  CHECK(choice("{out_channels: 64, kernel_size: 2}", {1, 64, 16384}) != winograd);
  CHECK(choice("{out_channels: 64, kernel_size: 3}", {1, 64, 9}) != winograd);
}

TEST_CASE("the CPU's choice for long kernels") {
  const auto cpu = Device::Type::kCpu;
  CHECK(chosen("{out_channels: 768, kernel_size: 4095, groups: 768, padding: 2047}", {8, 768, 4096},
               cpu) == "conv1d_fft_cpu");
  CHECK(chosen("{out_channels: 16, kernel_size: 64}", {1, 16, 16000}, cpu) == "conv1d_fft_cpu");
  CHECK(chosen("{out_channels: 64, kernel_size: 128, stride: 4}", {1, 1, 16000}, cpu) ==
        "conv1d_fft_cpu");
  // Strides that leave few taps to a strand, and few outputs to a transform.
  CHECK(chosen("{out_channels: 257, kernel_size: 400, stride: 160}", {1, 1, 160000}, cpu) !=
        "conv1d_fft_cpu");
  // Sums this short are more accurate product by product.
  CHECK(chosen("{out_channels: 64, kernel_size: 96, groups: 64}", {1, 64, 16000}, cpu) ==
        "conv1d_rows_cpu");
}

// A transform sees a whole segment, but never another row's.
TEST_CASE("Conv1d on the CPU by Fourier transforms keeps rows apart") {
  const LayerCase layer{
      "Conv1d", "{out_channels: 4, kernel_size: 130, groups: 4, bias: false}", {{{2, 4, 1000}}}, 7};
  const Conv1dProblem problem = problem_of(layer, Precision::kFp32);
  Random random(7);
  Conv1d conv(Attributes::parse(layer.attributes));
  conv.set_parameters(draw_parameters(conv, layer.inputs, DType::kF32, random));
  Tensor input = Tensor::empty({2, 4, 1000});
  for (int64_t i = 0; i < input.elements(); ++i) {
    input.data<float>()[i] = static_cast<float>(random.normal());
  }
  const auto run = [&] {
    WeightCache weights;
    ThreadPool threads(1);
    PrepareContext context;
    context.inputs = layer.inputs;
    context.outputs = conv.infer(layer.inputs);
    context.layer = &conv;
    context.weights = &weights;
    context.kernel = "conv1d_fft_cpu";
    const Step step = conv.prepare(context);
    CHECK(step.kernel == "conv1d_fft_cpu");
    Tensor output = Tensor::empty(context.outputs[0].shape);
    Tensor workspace = Tensor::empty({step.workspace_bytes / 4});
    const void* inputs[] = {input.raw()};
    void* outputs[] = {output.raw()};
    StepContext c;
    c.inputs = inputs;
    c.outputs = outputs;
    c.workspace = workspace.raw();
    c.threads = &threads;
    step.enqueue(c);
    return output;
  };
  const Tensor plain = run();
  float* row = input.data<float>() + 5 * 1000;
  row[500] = std::numeric_limits<float>::quiet_NaN();
  row[501] = 1e30f;
  const Tensor loud = run();
  const int64_t columns = problem.out_length;
  for (int64_t i = 0; i < plain.elements(); ++i) {
    if (i / columns != 5) REQUIRE(loud.data<float>()[i] == plain.data<float>()[i]);
  }
  CHECK(std::isnan(loud.data<float>()[5 * columns + 450]));
}

TEST_CASE("the CPU's choice for transposed problems") {
  const auto choice = [](int64_t channels) {
    const LayerCase layer{"ConvTranspose1d",
                          fmt::format("{{out_channels: {}, kernel_size: 16, stride: 8}}", channels),
                          {{{1, 64, 4000}}},
                          1};
    const Conv1dProblem problem = problem_of(layer, Precision::kFp32);
    return std::string(select_conv1d(problem, Device::Type::kCpu).kernel->name);
  };
  for (const int64_t channels : {1, 3, 4, 32}) CHECK(choice(channels) == "conv1d_dense_cpu");
}

TEST_CASE("the GPU's choice among Conv1d kernels for few outputs") {
  if (!has_cuda_row("conv1d_split_reduction_sm80")) return;
  for (const Precision precision :
       {Precision::kFp32, Precision::kTf32, Precision::kFp16, Precision::kBf16}) {
    for (const auto& [channels, length] : {std::pair{16, 64}, {64, 480}, {256, 100}, {512, 64}}) {
      CHECK(chosen(fmt::format("{{out_channels: {}, kernel_size: 3, padding: 1}}", channels),
                   {1, channels, length}, Device::Type::kCuda,
                   precision) == "conv1d_split_reduction_sm80");
    }
  }
}

TEST_CASE("the GPU's choice for depthwise problems") {
  if (!has_cuda_row("conv1d_depthwise_tiles_cuda")) return;
  const auto cuda = Device::Type::kCuda;
  CHECK(chosen("{out_channels: 512, kernel_size: 31, groups: 512, padding: same}", {8, 512, 16000},
               cuda) == "conv1d_depthwise_tiles_cuda");
  CHECK(chosen("{out_channels: 4096, kernel_size: 4, groups: 4096, padding: 3}", {8, 4096, 4096},
               cuda, Precision::kFp16) == "conv1d_depthwise_packs_cuda");
}

TEST_CASE("the GPU computes fp32 sums of few products in f32 arithmetic") {
  if (!has_cuda_row("conv1d_direct_cuda")) return;
  const auto cuda = Device::Type::kCuda;
  const Shape long_signal{16, 1, 160000};
  CHECK(chosen("{out_channels: 512, kernel_size: 10, stride: 5}", long_signal, cuda) ==
        "conv1d_direct_cuda");
  CHECK(chosen("{out_channels: 512, kernel_size: 10, stride: 5}", long_signal, cuda,
               Precision::kTf32) != "conv1d_direct_cuda");
}

TEST_CASE("the GPU's choice for kernels of one tap") {
  if (!has_cuda_row("conv1d_pointwise_cublas")) return;
  for (const Precision precision : {Precision::kFp16, Precision::kBf16}) {
    CHECK(chosen("{out_channels: 512, kernel_size: 1}", {16, 512, 16000}, Device::Type::kCuda,
                 precision) == "conv1d_pointwise_cublas");
  }
}

TEST_CASE("the GPU's choice for few taps of rows that begin at multiples of 16 bytes") {
  if (!has_cuda_row("conv1d_turn_gemm_sm90")) return;
  for (const Precision precision :
       {Precision::kFp32, Precision::kTf32, Precision::kFp16, Precision::kBf16}) {
    CHECK(chosen("{out_channels: 128, kernel_size: 3}", {32, 64, 131072}, Device::Type::kCuda,
                 precision) == "conv1d_turn_gemm_sm90");
  }
}

TEST_CASE("the GPU's choice for strides of eight and many channels") {
  if (!has_cuda_row("conv1d_arranged_gemm_sm90")) return;
  for (const Precision precision : {Precision::kTf32, Precision::kFp16, Precision::kBf16}) {
    CHECK(chosen("{out_channels: 512, kernel_size: 16, stride: 8, padding: 4}", {16, 256, 3002},
                 Device::Type::kCuda, precision) == "conv1d_arranged_gemm_sm90");
  }
}

TEST_CASE("the choice among Conv1d kernels depends on the problem alone and gives its reason") {
  const Conv1dProblem problem = problem_of("{out_channels: 128, kernel_size: 3}", {2, 64, 1000});
  const Conv1dChoice first = select_conv1d(problem, Device::Type::kCpu);
  const Conv1dChoice second = select_conv1d(problem, Device::Type::kCpu);
  CHECK(first.kernel == second.kernel);
  CHECK(first.reason == second.reason);
  CHECK(first.reason.rfind(fmt::format("predicted us: {} ", first.kernel->name), 0) == 0);
  for (const Conv1dKernel& kernel : conv1d_kernels()) {
    if (kernel.device != Device::Type::kCpu || !kernel.can_implement(problem)) continue;
    CHECK(kernel.seconds(problem) >= first.kernel->seconds(problem));
    CHECK(first.reason.find(kernel.name) != std::string::npos);
  }
}

TEST_CASE("a Conv1d kernel asked for by name is taken where it can compute the problem") {
  // One that every row computes.
  const Conv1dProblem problem = problem_of("{out_channels: 128, kernel_size: 48}", {2, 64, 48});
  for (const std::string& name : conv1d_kernel_names(Device::Type::kCpu)) {
    const Conv1dChoice choice = select_conv1d(problem, Device::Type::kCpu, name);
    CHECK(choice.kernel->name == name);
    CHECK(choice.reason == "asked for by name");
  }
  // Neither another kind of device's kernel, nor one that nobody has.
  const std::vector<std::string> names = conv1d_kernel_names(Device::Type::kCpu);
  for (const std::string name : {"conv1d_direct_cuda", "conv1d_fast"}) {
    expect_error([&] { select_conv1d(problem, Device::Type::kCpu, name); },
                 ErrorKind::kInvalidArgument,
                 fmt::format("unknown Conv1d kernel '{}'; this device has {}", name,
                             fmt::join(names, ", ")));
  }
  Conv1dProblem transposed = problem;
  transposed.transposed = true;
  transposed.out_length = 95;
  CHECK(select_conv1d(transposed, Device::Type::kCpu, "conv1d_direct_cpu").kernel->name !=
        std::string("conv1d_direct_cpu"));
}

TEST_CASE("a prepared Conv1d names its kernel and reason") {
  Conv1d conv(Attributes::parse("{out_channels: 4, kernel_size: 3}"));
  const TensorSpec input{{1, 2, 10}};
  const Conv1dChoice choice =
      select_conv1d(conv.problem(input, Precision::kFp32), Device::Type::kCpu);
  Random random(1);
  conv.set_parameters(draw_parameters(conv, {input}, DType::kF32, random));
  WeightCache weights;
  PrepareContext context;
  context.inputs = {input};
  context.outputs = conv.infer({input});
  context.layer = &conv;
  context.weights = &weights;
  const Step step = conv.prepare(context);
  CHECK(step.kernel == choice.kernel->name);
  CHECK(step.reason == choice.reason);
}

TEST_CASE("a Conv1d problem prints every size") {
  const Conv1dProblem problem = problem_of(
      "{out_channels: 8, kernel_size: 3, stride: 2, dilation: 4, groups: 2, padding: "
      "[3, 5], padding_mode: reflect}",
      {2, 6, 29}, Precision::kTf32);
  CHECK(to_string(problem) ==
        "Conv1d tf32 x [2, 6, 29] w [8, 3, 3] y [2, 8, 15] stride 2 padding 3+5 reflect dilation 4 "
        "groups 2 bias then Identity");
}

}  // namespace
}  // namespace engine::test
