// Conv1d and ConvTranspose1d, one output row at a time: for every input channel and tap, a strided
// row times one weight. So each output sums its products in the formula's order: channel, tap.
#include <Eigen/Core>

#include "tests/reference/families.h"

namespace engine::reference {
namespace {

template <typename Scalar>
using Row = Eigen::Array<Scalar, Eigen::Dynamic, 1>;

// Every stride-th element from `data` on, `count` of them.
template <typename Scalar>
auto strided(const Scalar* data, int64_t count, int64_t stride) {
  using Strided = Eigen::Map<const Row<Scalar>, Eigen::Unaligned, Eigen::InnerStride<>>;
  return Strided(data, count, Eigen::InnerStride<>(stride));
}
template <typename Scalar>
auto strided(Scalar* data, int64_t count, int64_t stride) {
  using Strided = Eigen::Map<Row<Scalar>, Eigen::Unaligned, Eigen::InnerStride<>>;
  return Strided(data, count, Eigen::InnerStride<>(stride));
}

// `reach` is how far the last tap lies behind the first.
std::pair<int64_t, int64_t> conv1d_padding(const Attributes& attributes, int64_t reach) {
  if (!attributes.is_text("padding")) return two_sides(attributes, "padding");
  const std::string padding = attributes.choice("padding", {"same", "valid", "causal"}, "valid");
  if (padding == "valid") return {0, 0};
  if (padding == "causal") return {reach, 0};
  return {reach / 2, reach - reach / 2};
}

template <typename Scalar>
Scalar bias_of(const Call<Scalar>& call, int64_t channel) {
  return call.attributes.boolean("bias", true) ? call.parameter("bias").data.at(channel) : 0;
}

// y[n, o, t] = bias[o] + sum over c, k of weight[o, c, k] padded[n, first_c + c, t stride + k
// dilation] where first_c is the first channel of o's group.
template <typename Scalar>
Outputs<Scalar> conv1d(const Call<Scalar>& call) {
  const Value<Scalar>& x = call.input();
  const Value<Scalar>& weight = call.parameter("weight");
  const int64_t batch = x.shape.at(0), channels = x.shape.at(1), length = x.shape.at(2);
  const int64_t out_channels = weight.shape.at(0), taps = weight.shape.at(2);
  const int64_t stride = call.attributes.integer("stride", 1);
  const int64_t dilation = call.attributes.integer("dilation", 1);
  const int64_t groups = call.attributes.integer("groups", 1);
  const int64_t reach = dilation * (taps - 1);
  const auto sides = conv1d_padding(call.attributes, reach);
  const std::string mode = call.attributes.choice(
      "padding_mode", {"zeros", "reflect", "replicate", "circular"}, "zeros");
  const int64_t out_length = (length + sides.first + sides.second - reach - 1) / stride + 1;

  auto y = zeros<Scalar>({batch, out_channels, out_length});
  for (int64_t n = 0; n < batch; ++n) {
    std::vector<std::vector<Scalar>> padded;
    for (int64_t c = 0; c < channels; ++c) {
      padded.push_back(pad_row(row_of(x, n, c), length, sides, mode, Scalar(0)));
    }
    for (int64_t o = 0; o < out_channels; ++o) {
      const int64_t first_channel = o / (out_channels / groups) * (channels / groups);
      auto row = strided(row_of(y, n, o), out_length, 1);
      row = bias_of(call, o);
      for (int64_t c = 0; c < channels / groups; ++c) {
        for (int64_t k = 0; k < taps; ++k) {
          const Scalar* source = padded[first_channel + c].data() + k * dilation;
          row += row_of(weight, o, c)[k] * strided(source, out_length, stride);
        }
      }
    }
  }
  return {y};
}

// full[n, o, l stride + k dilation] += x[n, c, l] weight[c, o within its group, k], from which
// `padding` is cut off on both sides; output_padding lengthens it on the right.
template <typename Scalar>
Outputs<Scalar> conv_transpose1d(const Call<Scalar>& call) {
  const Value<Scalar>& x = call.input();
  const Value<Scalar>& weight = call.parameter("weight");
  const int64_t batch = x.shape.at(0), channels = x.shape.at(1), length = x.shape.at(2);
  const int64_t stride = call.attributes.integer("stride", 1);
  const int64_t dilation = call.attributes.integer("dilation", 1);
  const int64_t groups = call.attributes.integer("groups", 1);
  const int64_t group_in = channels / groups, group_out = weight.shape.at(1);
  const int64_t taps = weight.shape.at(2);
  const auto sides = two_sides(call.attributes, "padding");
  const int64_t full_length = (length - 1) * stride + dilation * (taps - 1) + 1 +
                              call.attributes.integer("output_padding", 0);
  const int64_t out_length = full_length - sides.first - sides.second;

  auto y = zeros<Scalar>({batch, groups * group_out, out_length});
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t o = 0; o < groups * group_out; ++o) {
      const int64_t group = o / group_out;
      Row<Scalar> full = Row<Scalar>::Constant(full_length, bias_of(call, o));
      for (int64_t c = group * group_in; c < (group + 1) * group_in; ++c) {
        for (int64_t k = 0; k < taps; ++k) {
          strided(full.data() + k * dilation, length, stride) +=
              row_of(weight, c, o % group_out)[k] * strided(row_of(x, n, c), length, 1);
        }
      }
      strided(row_of(y, n, o), out_length, 1) = full.segment(sides.first, out_length);
    }
  }
  return {y};
}

}  // namespace

template <typename Scalar>
void add_convolutions(Table<Scalar>& table) {
  table["Conv1d"] = conv1d;
  table["ConvTranspose1d"] = conv_transpose1d;
}

template void add_convolutions(Table<double>&);
template void add_convolutions(Table<float>&);

}  // namespace engine::reference
