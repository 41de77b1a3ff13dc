// The reference: every layer written to be obviously right, in Eigen and plain loops, with no code
// and no index arithmetic shared with what it checks. Slow on purpose.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/attributes.h"
#include "engine/shape.h"

namespace engine::reference {

/// A value as the reference sees it: row-major elements. Integers are held as scalars too.
/// Scalar is double for the exact answer, float for the error of a plain fp32 accumulation.
template <typename Scalar>
struct Value {
  Shape shape;
  std::vector<Scalar> data;
};

template <typename Scalar>
using Parameters = std::map<std::string, Value<Scalar>>;

/// True where evaluate() knows the layer type; a user's own layer it does not.
bool knows(const std::string& type);

/// The outputs of one layer. All sums are accumulated in Scalar, in the order of the formula.
/// Throws Error(kUnsupported) for an unknown type.
template <typename Scalar>
std::vector<Value<Scalar>> evaluate(const std::string& type, const Attributes& attributes,
                                    const Parameters<Scalar>& parameters,
                                    const std::vector<Value<Scalar>>& inputs);

}  // namespace engine::reference
