// The innermost loop of Linear on the CPU: rows of x times a block of outputs.
//
// Sums stay in registers: with AVX2 6 rows x 2 vectors of outputs, or fewer rows as several chains
// of additions each. For each step the weights of the block lie side by side; x is broadcast from
// where it is. What limits it: products, two in a cycle, or for few rows the weights' way from
// memory.
#pragma once

#include <cstdint>

namespace engine::cpu {

/// y[r, m] = start + sum over s < steps of x[r, s] weights[s, m], for r < rows and m < outputs.
struct LinearPanel {
  const float* x;
  int64_t x_stride;  ///< floats from row to row
  const float* weights;
  int64_t steps;
  float* y;
  int64_t y_stride;  ///< floats from row to row
  int64_t rows;
  int64_t outputs;    ///< of a block at most
  const float* bias;  ///< of the outputs, or null: what sums start from, unless
  bool adds;          ///< they start from y
};

struct LinearLoop {
  int64_t outputs;  ///< of a block: how many weights a step has
  void (*run)(const LinearPanel& panel);
};

/// For the best instruction set of this machine.
LinearLoop linear_loop();

}  // namespace engine::cpu
