// A convolution of one tap as one matrix product that adds the bias itself:
//   y[b] [M, L] = w [M, C] x[b] [C, L] + E,   E[m, l] = bias[m]
// with M = out_channels, C = in_channels. GEMM sizes: m = M, n = columns of a piece, k = C, batch =
// samples.
//
// cuBLASLt adds a bias by itself only along the contiguous dimension of the result, which is the
// length here. But it adds a matrix, which all samples may share, so that E, for as many columns as
// a piece has, is written to the workspace once in each run and read from the L2 cache by the
// tiles. E has the dtype of y: with 16 bits the bias is rounded to them, and y once more. A ReLU in
// 16 bits is a pass over y, where rounding before it changes nothing; cuBLASLt's own loses NaN in
// some of its kernels.
//
// Bytes: the compulsory ones (with a ReLU a pass over y), and y's once more from the L2 cache.
// Requires: one tap, stride 1, no padding, one group, a bias, at most 65,535 samples, no
// activation (16 bits: or ReLU) and no residual.
#include <algorithm>

#include "engine/cuda/gemm_sum.h"
#include "layers/activation/activation_launch.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/elementwise/elementwise_launch.h"

namespace engine::cuda {
namespace {

constexpr int64_t kAddendBytes = int64_t{4} << 20;  // of E: well within the L2 cache
constexpr int64_t kColumnUnit = 64;                 // of a piece: a narrow tile's columns

int64_t element_bytes(const Conv1dProblem& p) { return static_cast<int64_t>(size_of(p.dtype)); }

// Columns that E has at most.
int64_t most_columns(const Conv1dProblem& p) {
  return kAddendBytes / (p.out_channels * element_bytes(p)) / kColumnUnit * kColumnUnit;
}

// Columns of every piece but the last.
int64_t piece_columns(const Conv1dProblem& p) { return std::min(p.out_length, most_columns(p)); }

// Rows of E start at multiples of a column unit, which any algorithm may read.
int64_t addend_stride(const Conv1dProblem& p) {
  return (piece_columns(p) + kColumnUnit - 1) / kColumnUnit * kColumnUnit;
}

int64_t addend_bytes(const Conv1dProblem& p) {
  return p.out_channels * addend_stride(p) * element_bytes(p);
}

bool has_relu(const Conv1dProblem& p) { return p.activation.kind == Activation::Kind::kReLU; }

bool can_implement(const Conv1dProblem& p) {
  if (p.transposed || p.groups > 1 || p.residual || !p.bias) return false;
  if (p.kernel_size > 1 || p.stride > 1 || p.pad_left > 0 || p.pad_right > 0) return false;
  const bool plain = p.activation.kind == Activation::Kind::kIdentity;
  if (!plain && !(has_relu(p) && p.dtype != DType::kF32)) return false;
  return p.batch <= kMaxGemmSumBatch && most_columns(p) > 0;
}

// An H200, as measured: the rate of cuBLASLt's products, a third of it or less where rows do not
// start at multiples of 16 bytes, passes over x and y at the bandwidth of memory, E at that of the
// cache, and launches.
double seconds(const Conv1dProblem& p) {
  constexpr double kLaunch = 4e-6;
  const bool aligned = p.in_length * element_bytes(p) % 16 == 0;
  const double rate = p.precision == Precision::kFp32   ? 49e12
                      : !aligned                        ? 120e12
                      : p.precision == Precision::kTf32 ? 320e12
                                                        : 600e12;
  const double columns = static_cast<double>(p.batch) * static_cast<double>(p.out_length);
  const auto pad = [](int64_t count, int64_t unit) {
    return static_cast<double>((count + unit - 1) / unit * unit);
  };
  const double product = 2.0 * columns * pad(p.out_channels, 128) * pad(p.in_channels, 64) / rate;
  const double element = static_cast<double>(element_bytes(p));
  const double inputs = columns * static_cast<double>(p.in_channels) * element;
  const double outputs = columns * static_cast<double>(p.out_channels) * element;
  const double pieces = static_cast<double>((p.out_length - 1) / piece_columns(p) + 1);
  const double relu = has_relu(p) ? kLaunch + 2.0 * outputs / 4.2e12 : 0.0;
  return (1.0 + pieces) * kLaunch + std::max(product, (inputs + outputs) / 3.6e12) +
         outputs / 5e12 + relu;
}

// The product of one piece of this many columns; E is shared by all samples.
PlannedGemmSum plan_piece(const Conv1dProblem& p, int64_t columns, Device device) {
  GemmSum sum;
  sum.gemm.m = p.out_channels;
  sum.gemm.n = columns;
  sum.gemm.k = p.in_channels;
  sum.gemm.a_stride = p.in_channels;
  sum.gemm.b_stride = p.in_length;
  sum.gemm.c_stride = p.out_length;
  sum.gemm.batch = p.batch;
  sum.gemm.b_step = p.in_channels * p.in_length;
  sum.gemm.c_step = p.out_channels * p.out_length;
  sum.gemm.dtype = sum.gemm.c_dtype = p.dtype;
  sum.gemm.tf32 = p.precision == Precision::kTf32;
  sum.e_stride = addend_stride(p);
  return {sum, device};
}

// A problem made ready.
struct PointwiseConvolution {
  Conv1dProblem problem;
  int64_t columns;  // of every piece but the last
  PlannedGemmSum whole;
  PlannedGemmSum last;
  StridedSpace addend;  // E from the bias
  Tensor weight;
  Tensor bias;  // in the dtype of y

  void run(const StepContext& c) const {
    const Conv1dProblem& p = problem;
    char* e = static_cast<char*>(c.workspace) + kGemmWorkspaceBytes;
    const void* source = bias.raw();
    elementwise_cuda(ElementwiseOp::kAdd, addend, &source, e, p.dtype, c.stream);
    for (int64_t l = 0; l < p.out_length; l += columns) {
      const PlannedGemmSum& product = l + columns < p.out_length ? whole : last;
      product.run(weight.raw(), c.input<char>() + l * element_bytes(p), e,
                  c.output<char>() + l * element_bytes(p), c.workspace, c.stream);
    }
    if (!has_relu(p)) return;
    activation_cuda(p.activation, c.outputs[0], c.outputs[0],
                    p.batch * p.out_channels * p.out_length, p.dtype, c.stream);
  }
};

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const int64_t columns = piece_columns(p);
  const int64_t rest = p.out_length - (p.out_length - 1) / columns * columns;
  const PointwiseConvolution convolution{
      p,
      columns,
      plan_piece(p, columns, context.device),
      plan_piece(p, rest, context.device),
      make_strided_space({p.out_channels, addend_stride(p)}, {{1, 0}}),
      gemm_parameter(context, "weight"),
      context.parameter("bias", p.dtype)};
  Step step;
  step.workspace_bytes = kGemmWorkspaceBytes + addend_bytes(p);
  step.enqueue = [convolution](const StepContext& c) { convolution.run(c); };
  return step;
}

}  // namespace

Conv1dKernel conv1d_pointwise_cublas() {
  return {"conv1d_pointwise_cublas", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
