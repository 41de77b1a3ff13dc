// Pad1d and Upsample: the last dimension becomes longer.
#include <algorithm>
#include <cmath>

#include "tests/reference/families.h"

namespace engine::reference {
namespace {

template <typename Scalar>
Outputs<Scalar> pad1d(const Call<Scalar>& call) {
  const Value<Scalar>& x = call.input();
  const int64_t length = x.shape.back();
  const auto sides = two_sides(call.attributes, "padding");
  const std::string mode =
      call.attributes.choice("mode", {"constant", "reflect", "replicate", "circular"}, "constant");
  const Scalar constant = static_cast<Scalar>(call.attributes.number("value", 0.0));
  Value<Scalar> y{x.shape, {}};
  y.shape.back() += sides.first + sides.second;
  for (int64_t row = 0; row < element_count(x.shape) / length; ++row) {
    const auto padded = pad_row(&x.data[row * length], length, sides, mode, constant);
    y.data.insert(y.data.end(), padded.begin(), padded.end());
  }
  return {y};
}

// Where output t lies in the input, for linear interpolation.
template <typename Scalar>
Scalar linear_position(int64_t t, int64_t length, int64_t out_length, bool align_corners) {
  const Scalar in = static_cast<Scalar>(length), out = static_cast<Scalar>(out_length);
  if (align_corners) {
    return out_length > 1 ? static_cast<Scalar>(t) * (in - 1) / (out - 1) : Scalar(0);
  }
  return std::max(Scalar(0), (static_cast<Scalar>(t) + Scalar(0.5)) * in / out - Scalar(0.5));
}

template <typename Scalar>
Outputs<Scalar> upsample(const Call<Scalar>& call) {
  const Value<Scalar>& x = call.input();
  const int64_t length = x.shape.back();
  const int64_t out_length = call.attributes.has("size")
                                 ? call.attributes.integer("size")
                                 : length * call.attributes.integer("scale_factor");
  const bool linear = call.attributes.choice("mode", {"nearest", "linear"}, "nearest") == "linear";
  const bool align_corners = call.attributes.boolean("align_corners", false);
  Value<Scalar> y{x.shape, {}};
  y.shape.back() = out_length;
  for (int64_t row = 0; row < element_count(x.shape) / length; ++row) {
    const Scalar* source = &x.data[row * length];
    for (int64_t t = 0; t < out_length; ++t) {
      if (!linear) {
        y.data.push_back(source[t * length / out_length]);
        continue;
      }
      const Scalar position = linear_position<Scalar>(t, length, out_length, align_corners);
      const int64_t left = static_cast<int64_t>(position);
      const int64_t right = std::min(left + 1, length - 1);
      const Scalar share = position - static_cast<Scalar>(left);
      y.data.push_back((1 - share) * source[left] + share * source[right]);
    }
  }
  return {y};
}

}  // namespace

template <typename Scalar>
void add_resampling(Table<Scalar>& table) {
  table["Pad1d"] = pad1d;
  table["Upsample"] = upsample;
}

template void add_resampling(Table<double>&);
template void add_resampling(Table<float>&);

}  // namespace engine::reference
