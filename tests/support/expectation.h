// What the reference expects of a layer, and how far from it a result may be.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/attributes.h"
#include "engine/precision.h"
#include "engine/tensor.h"
#include "tests/reference/reference.h"

namespace engine::test {

/// One problem with everything that the layer is given: `inputs` in storage dtypes, `parameters` in
/// f32; all on the CPU.
struct Problem {
  std::string type;
  Attributes attributes;
  std::map<std::string, Tensor> parameters;
  std::vector<Tensor> inputs;
};

/// One output as it should be.
struct Expectation {
  reference::Value<double> exact;  ///< in fp64, from the very values that the layer is given
  /// The largest absolute error of an element. With
  ///   plain  the same in fp32, from operands rounded to TF32 where the layer multiplies in TF32,
  ///          rounded to the storage dtype at the end,
  ///   M      the root of the reference evaluated at squared inputs and parameters: for a sum of
  ///          products the root of the sum of their squares, which is what rounding errors of
  ///          single products add up to,
  ///   u_s, u_a  the unit roundoffs of the storage dtype and of the arithmetic,
  ///   t      the smallest normal f32, or the spacing of f16's subnormals where that is larger,
  /// allowed = max(2 max|plain - exact|, 2 u_s max|exact| + 4 u_a M + t)
  /// The first term is the rule. The second is for problems so small that a plain accumulation may
  /// be exact by luck: one unit in the last place stored, two of the arithmetic.
  double allowed = 0.0;
};

/// What to expect of `problem` in that precision, for each output.
std::vector<Expectation> expect(const Problem& problem, Precision precision);

/// `before` and then the activation layer of that type. None is steeper than 1.13; two units in the
/// last place (f32) are its own.
Expectation then_activation(const Expectation& before, const std::string& type,
                            const Attributes& attributes);

/// `before` plus a tensor of its shape. The sum is rounded to the storage dtype instead of
/// `before`.
Expectation then_add(const Expectation& before, const Tensor& residual, Precision precision);

/// What is wrong with an output: its shape, its dtype, elements that still hold 0xFF bytes, or
/// elements that are too far off; "" where nothing is. NaN is expected where `exact` is NaN, an
/// infinity where it is one or where it overflows the storage dtype.
std::string difference(const Tensor& actual, const Expectation& expected, Precision precision);

/// The value nearest to `value` that the dtype stores; integers are kept.
double round_to(DType dtype, double value);

}  // namespace engine::test
