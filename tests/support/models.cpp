#include "tests/support/models.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "engine/model/model_spec.h"

namespace engine::test {

Engine engine_from_text(const std::string& yaml, const EngineOptions& options) {
  return Engine::from_spec(parse_model(yaml, "test.yaml"), options);
}

EngineOptions on_cpu() {
  EngineOptions options;
  options.device = Device::cpu();
  return options;
}

Tensor random_tensor(const Shape& shape, uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  Tensor tensor = Tensor::empty(shape);
  std::generate_n(tensor.data<float>(), tensor.elements(), [&] { return normal(generator); });
  return tensor;
}

double max_difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return std::numeric_limits<double>::infinity();
  double largest = 0.0;
  for (int64_t i = 0; i < a.elements(); ++i) {
    const double difference = std::abs(double{a.data<float>()[i]} - double{b.data<float>()[i]});
    largest = std::isnan(difference) ? std::numeric_limits<double>::infinity()
                                     : std::max(largest, difference);
  }
  return largest;
}

}  // namespace engine::test
