// Runs one layer on one device, under guard.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/layer.h"

namespace engine::test {

/// Where and in which arithmetic a layer is tried.
struct Target {
  Device device;
  Precision precision = Precision::kFp32;
};

/// "cuda:0 tf32".
std::string to_string(const Target& target);

/// The CPU in fp32, and a GPU in every precision, as far as this run covers them (gpu.h).
std::vector<Target> targets();

/// The spec as it is stored in that precision: floats take the storage dtype.
TensorSpec stored(const TensorSpec& spec, Precision precision);

/// Infers, prepares and runs a layer whose parameters are set, twice over the same Step: in memory
/// without guard bands, for address sanitizers, then between bands; and once more with the output
/// in the memory of an input, where the step allows that, which has to give the same. Returns the
/// second run's outputs on the CPU. `inputs` are CPU tensors in storage dtypes. Outputs and
/// workspace start as 0xFF bytes; checks, through doctest, that nothing beyond them and no input
/// was written. A view gives its input back under the new shape.
std::vector<Tensor> run_layer(const Layer& layer, const std::vector<Tensor>& inputs,
                              const Target& target);

}  // namespace engine::test
