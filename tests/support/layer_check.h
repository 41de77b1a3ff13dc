// One harness that checks any layer on every device and precision against the reference.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace engine {
class Layer;
}

namespace engine::test {

class Random;

/// A layer and the inputs to try it on. Inputs and weights are drawn afresh from `seed`: floats
/// from a normal distribution, integers uniformly from [0, integer_bound).
struct LayerCase {
  std::string type;
  std::string attributes;  ///< YAML flow map: "{kernel_size: 3}"
  std::vector<TensorSpec> inputs;
  uint64_t seed = 1;
  int64_t integer_bound = 1;
  /// Elements of the floating-point inputs, in place of drawn ones; repeated as often as needed.
  std::vector<float> values = {};
  /// In fp32 on a GPU, whose kernels split values into parts, outputs may be NaN in place of
  /// infinity.
  bool infinite_may_be_nan = false;
};

/// Runs the case on the CPU and, where there is a GPU, there in fp32, tf32, fp16 and bf16. Checks,
/// through doctest, output specs, every element against the fp64 reference within twice the error
/// of a plain accumulation in the same precision (expectation.h states the formula), that every
/// element was written (outputs are poisoned first) and that nothing beyond them was (guard bands).
/// A failure prints the case.
void check_layer(const LayerCase& layer_case);

/// Expects the message of the Error that building the layer, or inferring its shapes, throws to
/// contain `expected`.
void check_layer_error(const LayerCase& layer_case, const std::string& expected);

/// Parameters of a layer for inputs of these specs, drawn as their Init says; those that start as a
/// constant are spread around it, and variances are positive. Rounded to `storage`, so that a layer
/// which keeps them in that dtype computes with the same values as the reference.
std::map<std::string, Tensor> draw_parameters(const Layer& layer,
                                              const std::vector<TensorSpec>& inputs, DType storage,
                                              Random& random);

}  // namespace engine::test
