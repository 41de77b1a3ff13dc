// A convolution of one tap as one matrix product that adds the bias itself:
//   y[b] [M, L] = w [M, C] x[b] [C, L] + E,   E[m, l] = bias[m]
// with M = out_channels, C = in_channels. GEMM sizes: m = M, n = columns of a piece, k = C, batch =
// samples.
//
// cuBLASLt adds a bias by itself only along the contiguous dimension of the result, which is the
// length here. But it adds a matrix, which all samples may share: E, of as many columns as a piece
// has, is written to the workspace once in each run, and read from the L2 cache. E has the dtype of
// y, so that with 16 bits the bias is rounded to them, and the sum once more. ReLU with 16 bits is
// a pass over y, since rounding before it changes nothing; cuBLASLt's own loses NaN where rows are
// not aligned.
//
// Bytes: the compulsory ones, y's once more from the L2 cache, and a pass over y for ReLU.
// Limited by the products, and by reading E behind them: 16 samples of 512 channels to 512, length
// 16000, at 63 % of the roofline in tf32, 68 % in fp16 (H200); rows that do not start at multiples
// of 16 bytes, which Hopper's copy engine cannot fetch, at 31 % and 17 %.
// Requires: one tap, stride 1, no padding, one group, a bias, at most 65,535 samples, no residual,
// and no activation but ReLU with 16 bits.
#include <algorithm>

#include "engine/cuda/gemm_sum.h"
#include "engine/round_up.h"
#include "layers/activation/activation_launch.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/product_seconds.h"
#include "layers/elementwise/elementwise_launch.h"

namespace engine::cuda {
namespace {

constexpr int64_t kAddendBytes = int64_t{8} << 20;  // of E: well within the L2 cache
constexpr int64_t kColumnUnit = 64;                 // of a piece: a narrow tile's columns

int64_t element_bytes(const Conv1dProblem& p) { return static_cast<int64_t>(size_of(p.dtype)); }

// Columns that E has at most.
int64_t most_columns(const Conv1dProblem& p) {
  return kAddendBytes / (p.out_channels * element_bytes(p)) / kColumnUnit * kColumnUnit;
}

// Columns of every piece but the last, which has as many or a few less.
int64_t piece_columns(const Conv1dProblem& p) {
  const int64_t pieces = (p.out_length - 1) / most_columns(p) + 1;
  return std::min(p.out_length, round_up((p.out_length - 1) / pieces + 1, kColumnUnit));
}

// Rows of E start at multiples of a column unit, which any algorithm may read.
int64_t addend_stride(const Conv1dProblem& p) { return round_up(piece_columns(p), kColumnUnit); }

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

// An H200, as measured: the products, or x, y and as much of E as of y; outputs behind the products
// where rows are not aligned; a ReLU's pass, and launches.
double seconds(const Conv1dProblem& p) {
  constexpr double kLaunch = 2.2e-6;
  constexpr double kBytesPerSecond = 3.6e12;
  const double columns = static_cast<double>(p.batch * p.out_length);
  const double inputs = columns * static_cast<double>(p.in_channels * element_bytes(p));
  const double outputs = columns * static_cast<double>(p.out_channels * element_bytes(p));
  const bool aligned = p.out_length * element_bytes(p) % 16 == 0;
  const double unaligned_bytes_per_second = p.dtype == DType::kF32 ? 2.2e12 : 1.4e12;
  const double products =
      product_seconds(p, {p.batch, p.out_channels, p.out_length, p.in_channels, p.in_length}) +
      (aligned ? 0.0 : outputs / unaligned_bytes_per_second);
  const auto pieces = static_cast<double>((p.out_length - 1) / piece_columns(p) + 1);
  const double relu = has_relu(p) ? kLaunch + 2.0 * outputs / kBytesPerSecond : 0.0;
  return (1.0 + pieces) * kLaunch + std::max(products, (inputs + 2.0 * outputs) / kBytesPerSecond) +
         relu;
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
  const PlannedGemmSum whole = plan_piece(p, columns, context.device);
  const PointwiseConvolution convolution{
      p,
      columns,
      whole,
      rest == columns ? whole : plan_piece(p, rest, context.device),
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
