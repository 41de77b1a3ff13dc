// Add, Mul and Mean, and Identity.
#include <algorithm>

#include "tests/reference/families.h"

namespace engine::reference {
namespace {

// NumPy's rule: shapes align at the right, and a size of 1 repeats.
Shape broadcast(const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()));
  for (size_t back = 1; back <= result.size(); ++back) {
    const int64_t from_a = back <= a.size() ? a[a.size() - back] : 1;
    const int64_t from_b = back <= b.size() ? b[b.size() - back] : 1;
    result[result.size() - back] = from_a == 1 ? from_b : from_a;
  }
  return result;
}

// The element of `value` that stands at `index` of the broadcast shape.
template <typename Scalar>
Scalar broadcast_element(const Value<Scalar>& value, const Shape& index) {
  Shape own(index.end() - static_cast<int64_t>(value.shape.size()), index.end());
  for (size_t d = 0; d < own.size(); ++d) {
    if (value.shape[d] == 1) own[d] = 0;
  }
  return value.data[offset(value.shape, own)];
}

template <typename Scalar, typename Combine>
Outputs<Scalar> combine_all(const Call<Scalar>& call, Combine combine) {
  Value<Scalar> result = call.input();
  for (size_t i = 1; i < call.inputs.size(); ++i) {
    const Value<Scalar>& next = call.inputs[i];
    Value<Scalar> combined{broadcast(result.shape, next.shape), {}};
    for_each_index(combined.shape, [&](const Shape& index) {
      combined.data.push_back(
          combine(broadcast_element(result, index), broadcast_element(next, index)));
    });
    result = combined;
  }
  return {result};
}

template <typename Scalar>
Outputs<Scalar> add(const Call<Scalar>& call) {
  return combine_all(call, [](Scalar a, Scalar b) { return a + b; });
}

template <typename Scalar>
Outputs<Scalar> mul(const Call<Scalar>& call) {
  return combine_all(call, [](Scalar a, Scalar b) { return a * b; });
}

template <typename Scalar>
Outputs<Scalar> mean(const Call<Scalar>& call) {
  const Value<Scalar>& x = call.input();
  Shape kept = x.shape;  // with the reduced dimensions as 1
  std::vector<bool> reduced(x.shape.size(), false);
  const bool has_dim = call.attributes.has("dim");
  for (const int64_t dim : has_dim ? call.attributes.integers("dim") : std::vector<int64_t>{-1}) {
    reduced[dimension(x.shape, dim)] = true;
    kept[dimension(x.shape, dim)] = 1;
  }
  auto y = zeros<Scalar>(kept);
  for_each_index(x.shape, [&](Shape index) {
    const Scalar element = x.data[offset(x.shape, index)];
    for (size_t d = 0; d < index.size(); ++d) {
      if (reduced[d]) index[d] = 0;
    }
    y.data[offset(kept, index)] += element;
  });
  for (Scalar& sum : y.data) sum /= static_cast<Scalar>(x.data.size() / y.data.size());
  if (call.attributes.boolean("keepdim", false)) return {y};
  y.shape.clear();
  for (size_t d = 0; d < x.shape.size(); ++d) {
    if (!reduced[d]) y.shape.push_back(x.shape[d]);
  }
  return {y};
}

template <typename Scalar>
Outputs<Scalar> identity(const Call<Scalar>& call) {
  return {call.input()};
}

}  // namespace

template <typename Scalar>
void add_elementwise(Table<Scalar>& table) {
  table["Add"] = add;
  table["Mul"] = mul;
  table["Mean"] = mean;
  table["Identity"] = identity;
}

template void add_elementwise(Table<double>&);
template void add_elementwise(Table<float>&);

}  // namespace engine::reference
