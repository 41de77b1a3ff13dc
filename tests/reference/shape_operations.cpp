// Concat, Split, Slice, Flatten, Reshape and Transpose: elements move, none changes.
#include <algorithm>

#include "tests/reference/families.h"

namespace engine::reference {
namespace {

// The elements first, first + step, ... of one dimension, `count` of them.
template <typename Scalar>
Value<Scalar> take(const Value<Scalar>& x, int64_t dim, int64_t first, int64_t count,
                   int64_t step) {
  const Around view(x.shape, dim);
  Value<Scalar> y{x.shape, {}};
  y.shape[dimension(x.shape, dim)] = count;
  for (int64_t o = 0; o < view.outer; ++o) {
    for (int64_t s = 0; s < count; ++s) {
      for (int64_t i = 0; i < view.inner; ++i) {
        y.data.push_back(x.data[view.at(o, first + s * step, i)]);
      }
    }
  }
  return y;
}

template <typename Scalar>
Outputs<Scalar> concat(const Call<Scalar>& call) {
  const int64_t dim = call.attributes.integer("dim", 1);
  Value<Scalar> y{call.input().shape, {}};
  int64_t& size = y.shape[dimension(y.shape, dim)];
  size = 0;
  for (const Value<Scalar>& x : call.inputs) size += Around(x.shape, dim).size;
  for (int64_t o = 0; o < Around(y.shape, dim).outer; ++o) {
    for (const Value<Scalar>& x : call.inputs) {
      const Around view(x.shape, dim);
      const auto block = x.data.begin() + static_cast<int64_t>(view.at(o, 0, 0));
      y.data.insert(y.data.end(), block, block + view.size * view.inner);
    }
  }
  return {y};
}

// `sizes` lists them; `parts` asks for so many of equal size, as torch.chunk makes them.
template <typename Scalar>
Outputs<Scalar> split(const Call<Scalar>& call) {
  const Value<Scalar>& x = call.input();
  const int64_t dim = call.attributes.integer("dim", 1);
  const int64_t size = Around(x.shape, dim).size;
  std::vector<int64_t> sections;
  if (call.attributes.has("sizes")) {
    sections = call.attributes.integers("sizes");
  } else {
    const int64_t parts = call.attributes.integer("parts");
    const int64_t each = (size + parts - 1) / parts;
    for (int64_t rest = size; rest > 0; rest -= each) sections.push_back(std::min(each, rest));
  }
  Outputs<Scalar> outputs;
  int64_t first = 0;
  for (const int64_t section : sections) {
    outputs.push_back(take(x, dim, first, section, 1));
    first += section;
  }
  return outputs;
}

// Python's x[start:end:step].
template <typename Scalar>
Outputs<Scalar> slice(const Call<Scalar>& call) {
  const int64_t dim = call.attributes.integer("dim", -1);
  const int64_t size = Around(call.input().shape, dim).size;
  const auto place = [&](const char* key, int64_t fallback) {
    const int64_t at = call.attributes.integer(key, fallback);
    return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
  };
  const int64_t start = place("start", 0);
  const int64_t length = std::max<int64_t>(place("end", size) - start, 0);
  const int64_t step = call.attributes.integer("step", 1);
  return {take(call.input(), dim, start, (length + step - 1) / step, step)};
}

template <typename Scalar>
Outputs<Scalar> flatten(const Call<Scalar>& call) {
  const Shape& shape = call.input().shape;
  const size_t start = dimension(shape, call.attributes.integer("start_dim", 1));
  const size_t end = dimension(shape, call.attributes.integer("end_dim", -1));
  Shape flat;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (d > start && d <= end) {
      flat.back() *= shape[d];
    } else {
      flat.push_back(shape[d]);
    }
  }
  return {{flat, call.input().data}};
}

// 0 keeps the input's size of that dimension; -1 takes what is left.
template <typename Scalar>
Outputs<Scalar> reshape(const Call<Scalar>& call) {
  Shape shape = call.attributes.integers("shape");
  int64_t known = 1;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 0) shape[d] = call.input().shape.at(d);
    if (shape[d] > 0) known *= shape[d];
  }
  for (int64_t& size : shape) {
    if (size < 0) size = element_count(call.input().shape) / known;
  }
  return {{shape, call.input().data}};
}

template <typename Scalar>
Outputs<Scalar> transpose(const Call<Scalar>& call) {
  const Value<Scalar>& x = call.input();
  const size_t dim0 = dimension(x.shape, call.attributes.integer("dim0", 1));
  const size_t dim1 = dimension(x.shape, call.attributes.integer("dim1", 2));
  Value<Scalar> y{x.shape, {}};
  std::swap(y.shape[dim0], y.shape[dim1]);
  for_each_index(y.shape, [&](Shape index) {
    std::swap(index[dim0], index[dim1]);
    y.data.push_back(x.data[offset(x.shape, index)]);
  });
  return {y};
}

}  // namespace

template <typename Scalar>
void add_shape_operations(Table<Scalar>& table) {
  table["Concat"] = concat;
  table["Split"] = split;
  table["Slice"] = slice;
  table["Flatten"] = flatten;
  table["Reshape"] = reshape;
  table["Transpose"] = transpose;
}

template void add_shape_operations(Table<double>&);
template void add_shape_operations(Table<float>&);

}  // namespace engine::reference
