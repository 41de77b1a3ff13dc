// Small models as text, for tests of the runtime.
#pragma once

#include <string>

#include "engine/engine.h"

namespace engine::test {

/// Loads a model from YAML text with random weights.
Engine engine_from_text(const std::string& yaml, const EngineOptions& options = {});

/// EngineOptions for the CPU, whatever the machine has.
EngineOptions on_cpu();

/// The message of the Error that `body` throws; fails the test where it throws none.
template <typename Body>
std::string error_text(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error was thrown";
}

/// A CPU f32 tensor of values drawn from a normal distribution.
Tensor random_tensor(const Shape& shape, uint64_t seed);

/// Largest absolute difference of two f32 tensors of one shape; infinite where the shapes differ.
double max_difference(const Tensor& a, const Tensor& b);

}  // namespace engine::test
