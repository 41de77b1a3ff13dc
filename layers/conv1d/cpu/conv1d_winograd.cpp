// conv1d_winograd_cpu: dense convolutions on the CPU with two thirds of the products.
//
//   y[b, m, l] = f(bias[m] + sum over c, k of w[m, c, k] x[b, c, l S - left + k D]), x and y in NCL
//
// Winograd's minimal filtering F(2, 3): two outputs that share inputs take four products for three
// taps in place of six, and three for two taps in place of four (winograd_panel.h). Filters of more
// taps are groups of three, and what is left; strides leave one filter for each remainder of the
// tap by the stride. The products are matrix products of transformed weights [M, C] and transformed
// inputs [C, pairs], summed in registers: with AVX-512 those of 6 output channels x 32 pairs in 24
// vectors, with AVX2 those of 4 x 24 pairs, of each pair one sum at a time, in 12. Weights are
// transformed once at load, in double precision, and take 4/3 of their size for three taps. Inputs
// are transformed a tile at a time, up to 256 KB in the second-level cache (WinogradConvolution):
// compulsory bytes, and no workspace.
//
// The error against fp64 is no more than a plain fp32 sum's (root mean square over random data):
// 0.92 of it for 64 channels and 3 taps, 0.46 for 512 with AVX2. Where more groups have two taps
// than three, as with 16 taps and a stride of 8, sums would round 1.01 to 1.06 times as much; in
// two chunks at least they round 0.75 times as much (64 channels, 4 taps, a stride of 2). Sums of
// less than 64 products, of 192 in such layers, are left to other kernels, and so are transposed
// problems. Where pieces of D / gcd(S, D) outputs are shorter than a vector, a panel's vectors hold
// as many whole ones as fit: two of 32 pairs are idle for pieces of 3 and 5 with AVX-512, none of
// 24 for 3 and four for 5 with AVX2. Their outputs are joined in memory where a vector alone would
// hold less of them.
//
// What limits it: products, and for few output channels the transform, whose stores each serve M
// products. Measured on one core of an AMD EPYC (Zen 4) with AVX-512, whose products peak at 117
// GFLOP/s: 4.55 ms for x [1, 80, 3000], w [512, 80, 3], for which plain sums take 6.63 ms; the
// products that are left run at 92 % of the peak. On one of Zen 3 with AVX2, beside other work: 7.4
// ms, plain sums 10.3. There each block of a chunk takes some 300 cycles beside its products, which
// take 2000 of a whole panel.
#include <cmath>
#include <memory>

#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cpu/conv1d_cpu.h"
#include "layers/conv1d/cpu/convolution_step.h"
#include "layers/conv1d/cpu/cpu_cost.h"
#include "layers/conv1d/cpu/winograd_convolution.h"

namespace engine::cpu {
namespace {

bool can_implement(const Conv1dProblem& p) {
  return !p.transposed && WinogradConvolution::can_implement(tap_problem(p));
}

// Vectors of columns in a panel, in the mean over those of a span.
double vectors_of(const WinogradColumns& columns, const WinogradLoop& loop) {
  return static_cast<double>(ceil_divide(columns.span, loop.lanes)) /
         static_cast<double>(columns.span_panels);
}

// All output channels over a panel of `v` vectors of columns.
double panel_cycles(const WinogradLoop& loop, const WinogradProducts& products, int64_t rows,
                    double v, double chunks) {
  const auto kinds = static_cast<double>(loop.kinds);
  // Sums of one kind wait in memory while those of the other are added up.
  const double output = loop.kinds == 1 ? 20.0 : 8.0;
  // Vectors of less than eight floats are not measured: there plain sums are preferred.
  const double unmeasured = loop.lanes < 8 ? 1.7 : 1.0;
  const auto block = [&](int64_t block_rows) {
    const auto r = static_cast<double>(block_rows);
    const double loads = v + r * (loop.lanes > 8 ? 0.5 : 1.0);
    return unmeasured / kinds * static_cast<double>(products.count()) *
               step_cycles(kinds * r * v, kinds * loads, 1.0, loop.lanes) +
           chunks * (35.0 + output * r * v);
  };
  return static_cast<double>(rows / loop.rows) * block(loop.rows) +
         (rows % loop.rows == 0 ? 0.0 : block(rows % loop.rows));
}

// Transforming the inputs of one channel for `columns`.
double transform_cycles(const WinogradTaps& taps, const WinogradColumns& columns, int64_t stride,
                        const WinogradLoop& loop) {
  const auto panels = static_cast<double>(columns.panels);
  const double vectors = vectors_of(columns, loop);
  const auto remainders = static_cast<double>(taps.remainders.size());
  const double strided = stride == 1 ? 0.0 : 1.5 * static_cast<double>(loop.lanes);
  constexpr double kPanelsAtOnce = 8.0;
  return panels * vectors *
             (remainders * (18.0 + strided) + 9.0 * static_cast<double>(taps.products.count())) +
         std::ceil(panels / kPanelsAtOnce) * remainders * 60.0;
}

double seconds(const Conv1dProblem& problem) {
  const TapProblem p = tap_problem(problem);
  const WinogradLoop loop = winograd_loop();
  const WinogradTaps taps(p.taps);
  const WinogradColumns columns(p.out_length, taps.distance, loop);
  const WinogradProducts products = taps.products.times(p.group_inputs);
  const int64_t chunks = taps.chunks(p.group_inputs, loop);
  // A panel of less than whole vectors is stored value by value, but where loads have masks.
  const bool whole = loop.lanes >= 8 || p.out_length % (2 * columns.panel_columns) == 0;
  const double values = whole ? 0.0 : 200.0 * static_cast<double>(p.group_outputs * chunks);
  const double one = static_cast<double>(columns.panels) *
                         panel_cycles(loop, products, p.group_outputs, vectors_of(columns, loop),
                                      static_cast<double>(chunks)) +
                     static_cast<double>(p.group_inputs) *
                         transform_cycles(taps, columns, p.taps.in_stride(), loop) +
                     values;
  return (static_cast<double>(p.batch * p.groups) * one + memory_cycles(p, false)) /
         kCyclesPerSecond;
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const auto convolution =
      std::make_shared<const WinogradConvolution>(tap_problem(p), context.threads);
  return convolution_step(p, context, convolution, "weight of Winograd's products");
}

}  // namespace

Conv1dKernel conv1d_winograd() {
  return {"conv1d_winograd_cpu", Device::Type::kCpu, can_implement, seconds, prepare};
}

}  // namespace engine::cpu
