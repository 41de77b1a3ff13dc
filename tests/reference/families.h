// What the files of the reference share: the call that each function gets, the table that each
// family fills, and a few views of a value.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/reference/reference.h"

namespace engine::reference {

/// One evaluation: what evaluate() was given.
template <typename Scalar>
struct Call {
  const Attributes& attributes;
  const Parameters<Scalar>& parameters;
  const std::vector<Value<Scalar>>& inputs;

  const Value<Scalar>& input() const { return inputs.at(0); }
  const Value<Scalar>& parameter(const std::string& name) const { return parameters.at(name); }
};

template <typename Scalar>
using Outputs = std::vector<Value<Scalar>>;

template <typename Scalar>
using Table = std::map<std::string, Outputs<Scalar> (*)(const Call<Scalar>&)>;

// Each family adds its layer types.
template <typename Scalar>
void add_activations(Table<Scalar>& table);
template <typename Scalar>
void add_convolutions(Table<Scalar>& table);
template <typename Scalar>
void add_elementwise(Table<Scalar>& table);
template <typename Scalar>
void add_linear(Table<Scalar>& table);
template <typename Scalar>
void add_normalisations(Table<Scalar>& table);
template <typename Scalar>
void add_pooling(Table<Scalar>& table);
template <typename Scalar>
void add_resampling(Table<Scalar>& table);
template <typename Scalar>
void add_shape_operations(Table<Scalar>& table);

/// A value of that shape, all zeros.
template <typename Scalar>
Value<Scalar> zeros(const Shape& shape) {
  return {shape, std::vector<Scalar>(static_cast<size_t>(element_count(shape)))};
}

/// The row [n, c, :] of an NCL value.
template <typename Scalar>
const Scalar* row_of(const Value<Scalar>& value, int64_t n, int64_t c) {
  return value.data.data() + (n * value.shape.at(1) + c) * value.shape.at(2);
}
template <typename Scalar>
Scalar* row_of(Value<Scalar>& value, int64_t n, int64_t c) {
  return value.data.data() + (n * value.shape.at(1) + c) * value.shape.at(2);
}

/// The dimension that a possibly negative `dim` names.
inline size_t dimension(const Shape& shape, int64_t dim) {
  return static_cast<size_t>(dim < 0 ? dim + static_cast<int64_t>(shape.size()) : dim);
}

/// A value seen as [outer, size, inner] around one of its dimensions.
struct Around {
  int64_t outer = 1;
  int64_t size = 1;
  int64_t inner = 1;

  Around(const Shape& shape, int64_t dim) {
    const size_t at = dimension(shape, dim);
    outer = element_count(Shape(shape.begin(), shape.begin() + static_cast<int64_t>(at)));
    size = shape.at(at);
    inner = element_count(Shape(shape.begin() + static_cast<int64_t>(at) + 1, shape.end()));
  }
  size_t at(int64_t o, int64_t s, int64_t i) const {
    return static_cast<size_t>((o * size + s) * inner + i);
  }
};

/// Calls visit(index) for every multi-index of `shape`, in row-major order.
template <typename Visit>
void for_each_index(const Shape& shape, Visit visit) {
  Shape index(shape.size(), 0);
  for (int64_t left = element_count(shape); left > 0; --left) {
    visit(std::as_const(index));
    for (size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d]) break;
      index[d] = 0;
    }
  }
}

/// Where a multi-index lies in a row-major value of that shape.
inline size_t offset(const Shape& shape, const Shape& index) {
  int64_t position = 0;
  for (size_t d = 0; d < shape.size(); ++d) position = position * shape[d] + index[d];
  return static_cast<size_t>(position);
}

/// `left` and `right` of an attribute that is one number for both sides, or a list of two.
inline std::pair<int64_t, int64_t> two_sides(const Attributes& attributes, const std::string& key) {
  if (!attributes.has(key)) return {0, 0};
  const std::vector<int64_t> sides = attributes.integers(key);
  return {sides.front(), sides.back()};
}

/// x[0..length) extended by `left` and `right` elements. `mode` is constant, reflect, replicate or
/// circular, as in torch.nn.functional.pad.
template <typename Scalar>
std::vector<Scalar> pad_row(const Scalar* x, int64_t length, std::pair<int64_t, int64_t> sides,
                            const std::string& mode, Scalar constant) {
  std::vector<Scalar> padded;
  for (int64_t i = -sides.first; i < length + sides.second; ++i) {
    int64_t source = i;
    if (mode == "reflect") {
      source = i < 0 ? -i : (i >= length ? 2 * (length - 1) - i : i);
    } else if (mode == "replicate") {
      source = i < 0 ? 0 : (i >= length ? length - 1 : i);
    } else if (mode == "circular") {
      source = (i % length + length) % length;
    }
    padded.push_back(source >= 0 && source < length ? x[source] : constant);
  }
  return padded;
}

}  // namespace engine::reference
