// Pieces of y are shared out among threads; in each, the reduction is cut into parts, and the
// weights of a part of a block stay in the first-level cache while all rows of the piece pass over
// them (LinearPanel).
#include "layers/linear/linear_cpu.h"

#include <algorithm>

#include "engine/cpu/share_work.h"
#include "engine/round_up.h"
#include "layers/activation/activation_cpu.h"
#include "layers/linear/linear_panel.h"

namespace engine {
namespace {

constexpr int64_t kSteps = 256;  // of a part: 16 KB of weights with AVX2
constexpr int64_t kRows = 48;    // of a piece: 48 KB of x in a part
constexpr int64_t kBlocks = 4;   // of outputs in a piece

// Rows [first_row, first_row + rows) and outputs [first_output, first_output + outputs) of y.
struct Piece {
  int64_t first_row;
  int64_t rows;
  int64_t first_output;
  int64_t outputs;
};

void activate(const LinearProblem& p, const Piece& piece, float* y) {
  for (int64_t r = piece.first_row; r < piece.first_row + piece.rows; ++r) {
    float* row = y + r * p.outputs + piece.first_output;
    cpu::activate(p.activation, row, row, piece.outputs);
  }
}

void run_piece(const LinearProblem& p, const cpu::LinearLoop& loop, const Piece& piece,
               const float* x, const float* weight, const float* bias, float* y) {
  const int64_t end = piece.first_output + piece.outputs;
  for (int64_t step = 0; step < p.inputs; step += kSteps) {
    for (int64_t output = piece.first_output; output < end; output += loop.outputs) {
      loop.run({x + piece.first_row * p.inputs + step, p.inputs,
                weight + output * p.inputs + step * loop.outputs, std::min(kSteps, p.inputs - step),
                y + piece.first_row * p.outputs + output, p.outputs, piece.rows,
                std::min(loop.outputs, end - output), bias ? bias + output : nullptr, step > 0});
    }
  }
  activate(p, piece, y);
}

}  // namespace

Tensor pack_linear_weight(const Tensor& weight) {
  const int64_t outputs = weight.size(0);
  const int64_t inputs = weight.size(1);
  const int64_t block = cpu::linear_loop().outputs;
  Tensor packed = Tensor::zeros({ceil_divide(outputs, block), inputs, block});
  for (int64_t m = 0; m < outputs; ++m) {
    const float* source = weight.data<float>() + m * inputs;
    float* target = packed.data<float>() + m / block * block * inputs + m % block;
    for (int64_t k = 0; k < inputs; ++k) target[k * block] = source[k];
  }
  return packed;
}

void linear_cpu(const LinearProblem& p, const float* x, const float* packed_weight,
                const float* bias, float* y, ThreadPool& threads) {
  const cpu::LinearLoop loop = cpu::linear_loop();
  const int64_t outputs = kBlocks * loop.outputs;
  const int64_t across = ceil_divide(p.outputs, outputs);
  const int64_t pieces = ceil_divide(p.rows, kRows) * across;
  const double flops =
      2.0 * static_cast<double>(p.rows) * static_cast<double>(p.outputs * p.inputs);
  const int64_t grain = cpu::grain_of(pieces, flops / cpu::kThreadFlopsPerSecond);
  threads.parallel_for(pieces, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / across * kRows;
      const int64_t output = i % across * outputs;
      run_piece(p, loop,
                {row, std::min(kRows, p.rows - row), output, std::min(outputs, p.outputs - output)},
                x, packed_weight, bias, y);
    }
  });
}

}  // namespace engine
