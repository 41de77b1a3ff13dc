// Linear and Embedding.
#include <Eigen/Core>

#include "tests/reference/families.h"

namespace engine::reference {
namespace {

template <typename Scalar>
using Matrix =
    Eigen::Map<const Eigen::Array<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

// y[r, o] = bias[o] + sum over i of x[r, i] weight[o, i], for every row r of the last dimension.
template <typename Scalar>
Outputs<Scalar> linear(const Call<Scalar>& call) {
  const Value<Scalar>& x = call.input();
  const int64_t in_features = x.shape.back();
  const int64_t out_features = call.parameter("weight").shape.at(0);
  const Matrix<Scalar> weight(call.parameter("weight").data.data(), out_features, in_features);

  Shape shape = x.shape;
  shape.back() = out_features;
  auto y = zeros<Scalar>(shape);
  for (int64_t r = 0; r < element_count(x.shape) / in_features; ++r) {
    Eigen::Array<Scalar, Eigen::Dynamic, 1> row(out_features);
    row = Scalar(0);
    if (call.attributes.boolean("bias", true)) {
      for (int64_t o = 0; o < out_features; ++o) row[o] = call.parameter("bias").data.at(o);
    }
    for (int64_t i = 0; i < in_features; ++i) row += x.data[r * in_features + i] * weight.col(i);
    for (int64_t o = 0; o < out_features; ++o) y.data[r * out_features + o] = row[o];
  }
  return {y};
}

// y[i, :] = weight[x[i], :] for every element i of the integer input.
template <typename Scalar>
Outputs<Scalar> embedding(const Call<Scalar>& call) {
  const Value<Scalar>& weight = call.parameter("weight");
  const int64_t dim = weight.shape.at(1);
  Value<Scalar> y{call.input().shape, {}};
  y.shape.push_back(dim);
  for (const Scalar index : call.input().data) {
    for (int64_t d = 0; d < dim; ++d) {
      y.data.push_back(weight.data.at(static_cast<int64_t>(index) * dim + d));
    }
  }
  return {y};
}

}  // namespace

template <typename Scalar>
void add_linear(Table<Scalar>& table) {
  table["Linear"] = linear;
  table["Embedding"] = embedding;
}

template void add_linear(Table<double>&);
template void add_linear(Table<float>&);

}  // namespace engine::reference
