// BatchNorm1d, LayerNorm, GroupNorm and InstanceNorm1d: (x - mean) / sqrt(var + eps) * weight +
// bias. Statistics take two passes, and the variance divides by n.
#include <cmath>

#include "tests/reference/families.h"

namespace engine::reference {
namespace {

// Normalises `count` neighbouring elements by their own mean and variance.
template <typename Scalar>
void normalise(Scalar* x, int64_t count, Scalar eps) {
  Scalar sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += x[i];
  const Scalar mean = sum / static_cast<Scalar>(count);
  Scalar squares = 0;
  for (int64_t i = 0; i < count; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const Scalar deviation = std::sqrt(squares / static_cast<Scalar>(count) + eps);
  for (int64_t i = 0; i < count; ++i) x[i] = (x[i] - mean) / deviation;
}

template <typename Scalar>
void normalise_pieces(Value<Scalar>& y, int64_t count, const Call<Scalar>& call) {
  const Scalar eps = static_cast<Scalar>(call.attributes.number("eps", 1e-5));
  for (int64_t first = 0; first < element_count(y.shape); first += count) {
    normalise(y.data.data() + first, count, eps);
  }
}

// Each channel (dimension 1) times its weight plus its bias.
template <typename Scalar>
void scale_channels(Value<Scalar>& y, const Call<Scalar>& call) {
  const Around view(y.shape, 1);
  for (int64_t n = 0; n < view.outer; ++n) {
    for (int64_t c = 0; c < view.size; ++c) {
      for (int64_t i = 0; i < view.inner; ++i) {
        Scalar& element = y.data[view.at(n, c, i)];
        element = element * call.parameter("weight").data.at(c) + call.parameter("bias").data.at(c);
      }
    }
  }
}

template <typename Scalar>
Outputs<Scalar> batch_norm(const Call<Scalar>& call) {
  const Scalar eps = static_cast<Scalar>(call.attributes.number("eps", 1e-5));
  Value<Scalar> y = call.input();
  const Around view(y.shape, 1);
  for (int64_t n = 0; n < view.outer; ++n) {
    for (int64_t c = 0; c < view.size; ++c) {
      const Scalar mean = call.parameter("running_mean").data.at(c);
      const Scalar deviation = std::sqrt(call.parameter("running_var").data.at(c) + eps);
      for (int64_t i = 0; i < view.inner; ++i) {
        Scalar& element = y.data[view.at(n, c, i)];
        element = (element - mean) / deviation;
      }
    }
  }
  if (call.attributes.boolean("affine", true)) scale_channels(y, call);
  return {y};
}

// Over the last dimensions, as many as normalized_shape lists.
template <typename Scalar>
Outputs<Scalar> layer_norm(const Call<Scalar>& call) {
  Value<Scalar> y = call.input();
  const int64_t count = element_count(call.attributes.integers("normalized_shape"));
  normalise_pieces(y, count, call);
  if (!call.attributes.boolean("elementwise_affine", true)) return {y};
  const bool has_bias = call.attributes.boolean("bias", true);
  for (int64_t i = 0; i < element_count(y.shape); ++i) {
    y.data[i] *= call.parameter("weight").data.at(i % count);
    if (has_bias) y.data[i] += call.parameter("bias").data.at(i % count);
  }
  return {y};
}

// A group is a run of neighbouring channels of one sample, with all their elements.
template <typename Scalar>
Outputs<Scalar> group_norm(const Call<Scalar>& call) {
  Value<Scalar> y = call.input();
  const int64_t groups = call.attributes.integer("num_groups");
  normalise_pieces(y, element_count(y.shape) / y.shape.at(0) / groups, call);
  if (call.attributes.boolean("affine", true)) scale_channels(y, call);
  return {y};
}

template <typename Scalar>
Outputs<Scalar> instance_norm(const Call<Scalar>& call) {
  Value<Scalar> y = call.input();
  normalise_pieces(y, y.shape.at(2), call);
  if (call.attributes.boolean("affine", false)) scale_channels(y, call);
  return {y};
}

}  // namespace

template <typename Scalar>
void add_normalisations(Table<Scalar>& table) {
  table["BatchNorm1d"] = batch_norm;
  table["LayerNorm"] = layer_norm;
  table["GroupNorm"] = group_norm;
  table["InstanceNorm1d"] = instance_norm;
}

template void add_normalisations(Table<double>&);
template void add_normalisations(Table<float>&);

}  // namespace engine::reference
