#include "layers/conv1d/cpu/panel_output.h"

#include <algorithm>

#include "layers/activation/activation_cpu.h"

namespace engine::cpu {
namespace {

bool has_vector_form(const Activation& activation) {
  return activation.kind == Activation::Kind::kIdentity ||
         activation.kind == Activation::Kind::kReLU ||
         activation.kind == Activation::Kind::kLeakyReLU;
}

}  // namespace

bool stores_vectors(const PanelOutput& output) {
  if (output.column_stride != 1) return false;
  if (!output.last) return true;
  return has_vector_form(output.activation) &&
         (output.residual == nullptr || has_vector_form(output.residual_activation));
}

void store_values(const PanelOutput& output, const float* sums, int64_t row, int64_t column,
                  int64_t count) {
  constexpr int64_t kBlock = 128;
  while (count > kBlock) {
    store_values(output, sums, row, column, kBlock);
    sums += kBlock;
    column += kBlock;
    count -= kBlock;
  }
  const int64_t stride = output.column_stride;
  const int64_t start = output.place(row) + column * stride;
  float* y = output.y + start;
  const float bias = output.bias ? output.bias[output.channel(row)] : 0.0f;
  float values[kBlock];
  for (int64_t j = 0; j < count; ++j) {
    values[j] = sums[j] + (output.first ? bias : y[j * stride]);
  }
  if (output.last) {
    activate(output.activation, values, values, count);
    if (output.residual) {
      const float* residual = output.residual + start;
      for (int64_t j = 0; j < count; ++j) values[j] += residual[j * stride];
      activate(output.residual_activation, values, values, count);
    }
  }
  for (int64_t j = 0; j < count; ++j) y[j * stride] = values[j];
}

}  // namespace engine::cpu
