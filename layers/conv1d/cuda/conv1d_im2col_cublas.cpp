// Conv1d as matrix products over unfolded input:
//   y[b, g] [M, L] = w[g] [M, C K] columns[b, g] [C K, L]
// with M = group_outputs, C = group_inputs, K = kernel_size. GEMM sizes: m = M, n = columns of a
// piece, k = C K.
//
// Pieces of samples and columns are unfolded into a workspace of fixed size, so that memory never
// grows with the input. A kernel of one tap without stride and padding multiplies the input as it
// lies. 16-bit results that get a bias, an activation or a residual stay in f32 until then: they
// are rounded once. Bytes: C K / (C + M) times the compulsory ones, and a pass over y for what
// follows the product.
#include <algorithm>

#include "engine/cuda/blas.h"
#include "engine/round_up.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/im2col.h"
#include "layers/conv1d/cuda/product_seconds.h"
#include "layers/matrix_epilogue.h"

namespace engine::cuda {
namespace {

constexpr int64_t kPieceBytes = int64_t{32} << 20;  // columns and unfinished results
constexpr int64_t kLeastColumns = 64;               // below that products are too narrow
constexpr int64_t kAlignment = 8;                   // columns: 16 bytes of a 16-bit type

// How a problem is cut into pieces, and what a piece keeps in the workspace.
struct Pieces {
  bool unfold;           // the input does not lie as columns already
  bool staged;           // results stay in f32 until they are finished
  bool finish;           // a bias, an activation or a residual follows
  int64_t samples;       // of a piece
  int64_t columns;       // of a piece
  int64_t stride;        // of rows in the workspace, in elements
  int64_t column_bytes;  // of all unfolded columns of a piece
  int64_t result_bytes;  // of its unfinished results
};

int64_t bytes_per_column(const Conv1dProblem& p, const Pieces& pieces) {
  const int64_t unfolded = p.in_channels * p.kernel_size * static_cast<int64_t>(size_of(p.dtype));
  const int64_t results = p.out_channels * static_cast<int64_t>(sizeof(float));
  return (pieces.unfold ? unfolded : 0) + (pieces.staged ? results : 0);
}

Pieces cut(const Conv1dProblem& p) {
  Pieces pieces{};
  pieces.unfold = p.kernel_size > 1 || p.stride > 1 || p.pad_left > 0 || p.pad_right > 0;
  pieces.finish = p.bias || p.activation.kind != Activation::Kind::kIdentity || p.residual;
  pieces.staged = pieces.finish && p.dtype != DType::kF32;
  const int64_t per_column = std::max<int64_t>(bytes_per_column(p, pieces), 1);
  const bool in_place = !pieces.unfold && !pieces.staged;
  const int64_t most = in_place ? p.batch * round_up(p.out_length, kAlignment)
                                : std::max(kPieceBytes / per_column, kLeastColumns);
  const int64_t whole = round_up(p.out_length, kAlignment);
  pieces.samples = std::clamp(most / whole, int64_t{1}, p.batch);
  pieces.columns = most >= whole ? p.out_length : most / kLeastColumns * kLeastColumns;
  pieces.stride = round_up(pieces.columns, kAlignment);
  const int64_t elements = pieces.samples * pieces.stride;
  if (pieces.unfold) {
    pieces.column_bytes = round_up(
        elements * p.in_channels * p.kernel_size * static_cast<int64_t>(size_of(p.dtype)), 256);
  }
  if (pieces.staged) {
    pieces.result_bytes = elements * p.out_channels * static_cast<int64_t>(sizeof(float));
  }
  return pieces;
}

bool can_implement(const Conv1dProblem& p) {
  if (p.transposed) return false;
  const int64_t columns = std::min(round_up(p.out_length, kAlignment), kLeastColumns);
  return bytes_per_column(p, cut(p)) * columns <= kPieceBytes;
}

// Seconds of unfolding everything: columns are written and read once, and short rows wait for
// their blocks.
double unfold_seconds(const Conv1dProblem& p) {
  constexpr double kBytesPerSecond = 2.2e12;
  constexpr double kRow = 1.7e-9;
  const auto rows = static_cast<double>(p.batch * p.in_channels * p.kernel_size);
  const double elements = rows * static_cast<double>(p.out_length);
  return std::max(2.0 * elements * static_cast<double>(size_of(p.dtype)) / kBytesPerSecond,
                  kRow * rows);
}

// An H200, as measured: the products, unfolding, the bandwidth that passes over x and y reach, and
// the cost of a launch.
double seconds(const Conv1dProblem& p) {
  constexpr double kLaunch = 4e-6;
  constexpr double kBytesPerSecond = 4.2e12;
  constexpr double kUnfoldedProduct = 1.5;  // as long as others of their size,
  constexpr double kStagedProduct = 3.0;    // and with results in f32 of 16-bit operands
  const Pieces pieces = cut(p);
  const auto results = static_cast<double>(p.batch * p.out_channels * p.out_length);
  const double inputs =
      pieces.unfold ? 0.0 : static_cast<double>(p.batch * p.in_channels * p.in_length);
  // Results are written, and read and written again when finished, beside the residual.
  const double passed = inputs + results * ((pieces.finish ? 3.0 : 1.0) + (p.residual ? 1.0 : 0.0));
  const double piece_count =
      std::max(static_cast<double>(p.batch) / static_cast<double>(pieces.samples) *
                   (static_cast<double>(p.out_length) / static_cast<double>(pieces.columns)),
               1.0);
  const int64_t calls = p.groups == 1 ? 1 : std::min(pieces.samples, p.groups);
  const BatchedProduct product{p.groups == 1 ? pieces.samples : std::max(pieces.samples, p.groups),
                               p.group_outputs(), pieces.columns, p.reduction(),
                               pieces.unfold ? pieces.stride : p.in_length};
  const double share = pieces.staged ? kStagedProduct : pieces.unfold ? kUnfoldedProduct : 1.0;
  const double launches =
      static_cast<double>(calls) + (pieces.unfold ? 1.0 : 0.0) + (pieces.finish ? 1.0 : 0.0);
  return piece_count * (launches * kLaunch +
                        static_cast<double>(calls) * share * product_seconds(p, product)) +
         (pieces.unfold ? unfold_seconds(p) : 0.0) +
         passed * static_cast<double>(size_of(p.dtype)) / kBytesPerSecond;
}

// One matrix operand: where it starts and how far samples and groups are apart, in elements.
struct Operand {
  const void* data;
  DType dtype;
  int64_t row_stride;
  int64_t per_sample;
  int64_t per_group;

  const void* at(int64_t sample, int64_t group) const {
    return static_cast<const char*>(data) +
           (sample * per_sample + group * per_group) * static_cast<int64_t>(size_of(dtype));
  }
};

// The products of a piece: one call over all samples for each group, or one over all groups for
// each sample, whichever takes fewer calls.
struct Products {
  Gemm gemm;
  Device device;
  void* workspace;
  CudaStream stream;

  void run(const Operand& w, const Operand& x, const Operand& y, int64_t samples,
           int64_t groups) const {
    const bool over_samples = samples >= groups;
    Gemm call = gemm;
    call.a_stride = w.row_stride;
    call.b_stride = x.row_stride;
    call.c_stride = y.row_stride;
    call.batch = over_samples ? samples : groups;
    call.a_step = over_samples ? w.per_sample : w.per_group;
    call.b_step = over_samples ? x.per_sample : x.per_group;
    call.c_step = over_samples ? y.per_sample : y.per_group;
    for (int64_t i = 0; i < (over_samples ? groups : samples); ++i) {
      const int64_t sample = over_samples ? 0 : i;
      const int64_t group = over_samples ? i : 0;
      cuda::gemm(call, device, w.at(sample, group), x.at(sample, group),
                 const_cast<void*>(y.at(sample, group)), workspace, stream);
    }
  }
};

// A problem made ready.
struct Im2colConvolution {
  Conv1dProblem problem;
  Pieces pieces;
  Device device;
  Tensor weight;
  Tensor bias;

  void run(const StepContext& c) const {
    for (int64_t b = 0; b < problem.batch; b += pieces.samples) {
      for (int64_t l = 0; l < problem.out_length; l += pieces.columns) {
        run_piece(c, {b, std::min(pieces.samples, problem.batch - b), l,
                      std::min(pieces.columns, problem.out_length - l)});
      }
    }
  }

  void run_piece(const StepContext& c, const Conv1dPiece& piece) const {
    const Conv1dProblem& p = problem;
    auto* columns = static_cast<char*>(c.workspace) + kGemmWorkspaceBytes;
    char* results = columns + pieces.column_bytes;
    const int64_t element = static_cast<int64_t>(size_of(p.dtype));
    const int64_t first_output =
        (piece.first_sample * p.out_channels * p.out_length + piece.first_column) * element;
    auto* target = static_cast<char*>(c.outputs[0]) + first_output;
    const void* residual = p.residual ? c.input<char>(1) + first_output : nullptr;
    Operand x{columns, p.dtype, pieces.stride, p.groups * p.reduction() * pieces.stride,
              p.reduction() * pieces.stride};
    if (pieces.unfold) {
      im2col(p, piece, pieces.stride, c.inputs[0], columns, c.stream);
    } else {
      x = {static_cast<const char*>(c.inputs[0]) +
               (piece.first_sample * p.in_channels * p.in_length + piece.first_column) * element,
           p.dtype, p.in_length, p.in_channels * p.in_length, p.group_inputs() * p.in_length};
    }
    const int64_t y_stride = pieces.staged ? pieces.stride : p.out_length;
    const Operand y{pieces.staged ? results : target, pieces.staged ? DType::kF32 : p.dtype,
                    y_stride, p.out_channels * y_stride, p.group_outputs() * y_stride};
    const Operand w{weight.raw(), p.dtype, p.reduction(), 0, p.group_outputs() * p.reduction()};
    Products products{{}, device, c.workspace, c.stream};
    products.gemm.m = p.group_outputs();
    products.gemm.n = piece.columns;
    products.gemm.k = p.reduction();
    products.gemm.dtype = p.dtype;
    products.gemm.c_dtype = y.dtype;
    products.gemm.tf32 = p.precision == Precision::kTf32;
    products.run(w, x, y, piece.samples, p.groups);
    if (!pieces.finish) return;
    matrix_epilogue_cuda({piece.samples * p.out_channels, piece.columns, y_stride, p.out_length,
                          false, p.out_channels, p.activation, p.residual_activation},
                         static_cast<const float*>(y.data), static_cast<const float*>(bias.raw()),
                         residual, target, p.dtype, c.stream);
  }
};

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  prepare_gemm(context.device);
  const Im2colConvolution convolution{p, cut(p), context.device, gemm_parameter(context, "weight"),
                                      p.bias ? context.parameter("bias") : Tensor()};
  Step step;
  step.workspace_bytes =
      kGemmWorkspaceBytes + convolution.pieces.column_bytes + convolution.pieces.result_bytes;
  step.enqueue = [convolution](const StepContext& c) { convolution.run(c); };
  return step;
}

}  // namespace

Conv1dKernel conv1d_im2col_cublas() {
  return {"conv1d_im2col_cublas", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
