#include "layers/conv1d/cpu/panel_output.h"

#include "layers/activation/activation_math.h"

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
  const int64_t stride = output.column_stride;
  const int64_t start = row * output.row_stride + column * stride;
  float* y = output.y + start;
  const float bias = output.bias ? output.bias[row] : 0.0f;
  const auto kind = output.last ? output.activation.kind : Activation::Kind::kIdentity;
  with_activation_math(kind, [&](auto math) {
    for (int64_t j = 0; j < count; ++j) {
      float& place = y[j * stride];
      place = math.apply(sums[j] + (output.first ? bias : place), output.activation);
    }
  });
  if (!output.last || output.residual == nullptr) return;
  const float* residual = output.residual + start;
  with_activation_math(output.residual_activation.kind, [&](auto math) {
    for (int64_t j = 0; j < count; ++j) {
      float& place = y[j * stride];
      place = math.apply(place + residual[j * stride], output.residual_activation);
    }
  });
}

}  // namespace engine::cpu
