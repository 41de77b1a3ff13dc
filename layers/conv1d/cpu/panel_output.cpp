#include "layers/conv1d/cpu/panel_output.h"

#include "engine/cpu/highway_targets.h"
#include "layers/activation/activation_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/conv1d/cpu/panel_output.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "layers/conv1d/cpu/panel_output-inl.h"

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;

constexpr int64_t kLanes = hn::MaxLanes(D());

// Blocks of kVectors vectors from column `done` on, as far as they reach; returns where they end.
template <int kVectors>
int64_t store_blocks(const PanelOutput& output, const float* sums, int64_t row, int64_t column,
                     int64_t count, int64_t done) {
  const D d;
  for (; done + kVectors * kLanes <= count; done += kVectors * kLanes) {
    hn::Vec<D> values[kVectors];
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) values[v] = hn::LoadU(d, sums + done + v * kLanes);
    store_vectors<1>(d, output, row, column + done, &values);
  }
  return done;
}

// Returns how many columns it has stored: where loads have no masks, no part of a vector.
int64_t store_columns(const PanelOutput& output, const float* sums, int64_t row, int64_t column,
                      int64_t count) {
  int64_t done = store_blocks<4>(output, sums, row, column, count, 0);
  done = store_blocks<1>(output, sums, row, column, count, done);
#if HWY_TARGET <= HWY_AVX2
  if (done < count) {
    const D d;
    const FirstColumns<D> lanes{count - done};
    hn::Vec<D> values[1] = {lanes.load(d, sums + done, 0)};
    store_vectors<1>(d, output, row, column + done, &values, lanes);
    done = count;
  }
#endif
  return done;
}

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(store_columns);

namespace {

bool has_vector_form(const Activation& activation) {
  return activation.kind == Activation::Kind::kIdentity ||
         activation.kind == Activation::Kind::kReLU ||
         activation.kind == Activation::Kind::kLeakyReLU;
}

// In any place of y and through any function.
void store_in_turn(const PanelOutput& output, const float* sums, int64_t row, int64_t column,
                   int64_t count) {
  constexpr int64_t kBlock = 128;
  while (count > kBlock) {
    store_in_turn(output, sums, row, column, kBlock);
    sums += kBlock;
    column += kBlock;
    count -= kBlock;
  }
  const int64_t stride = output.column_stride;
  const int64_t position = output.position + output.phase(row);
  for (; count > 0 && position + column * stride < 0; --count, ++column, ++sums) {
  }
  while (count > 0 && position + (column + count - 1) * stride >= output.row_stride) --count;
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

}  // namespace

bool has_vector_forms(const PanelOutput& output) {
  if (!output.last) return true;
  return has_vector_form(output.activation) &&
         (output.residual == nullptr || has_vector_form(output.residual_activation));
}

bool stores_vectors(const PanelOutput& output) {
  return output.column_stride == 1 && has_vector_forms(output);
}

void store_values(const PanelOutput& output, const float* sums, int64_t row, int64_t column,
                  int64_t count) {
  constexpr int64_t kFewValues = 16;  // which take no longer one by one
  int64_t done = 0;
  if (count >= kFewValues && stores_vectors(output)) {
    done = HWY_DYNAMIC_DISPATCH(store_columns)(output, sums, row, column, count);
  }
  if (done < count) store_in_turn(output, sums + done, row, column + done, count - done);
}

}  // namespace engine::cpu
#endif
