// The shipped model against what PyTorch computes for the shipped sounds.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/engine/audio_file.h"
#include "engine/engine.h"
#include "tests/support/gpu.h"
#include "tests/support/models.h"
#include "tests/support/paths.h"

namespace engine {
namespace {

void check_sounds(const EngineOptions& options, double tolerance) {
  const Engine engine = Engine::load(test::source_path("graphs/keywords.yaml"), options);
  const auto golden =
      nlohmann::json::parse(std::ifstream(test::source_path("weights/keywords/golden.json")));
  CHECK(engine.labels() == golden.at("labels").get<std::vector<std::string>>());
  REQUIRE(golden.at("probabilities").size() >= 3);
  for (const auto& [file, values] : golden.at("probabilities").items()) {
    CAPTURE(file);
    cli::Audio audio =
        cli::read_audio(test::source_path("weights/keywords/samples") / file, [](auto&&) {});
    const Tensor input = Tensor::wrap(audio.channels[0].data(), {1, 1, audio.length()});
    auto expected = values.get<std::vector<float>>();
    const auto classes = static_cast<int64_t>(expected.size());
    const Tensor output = engine.run({input}).front();
    CHECK(test::max_difference(output, Tensor::wrap(expected.data(), {1, classes})) < tolerance);
  }
}

}  // namespace

TEST_CASE("the keyword model gives PyTorch's probabilities") {
  if (test::uses_cpu()) check_sounds(test::on_cpu(), 1e-5);
  if (!test::has_gpu()) return;
  EngineOptions options;
  options.device = Device::cuda();
  check_sounds(options, 1e-5);
  options.precision = Precision::kFp16;
  check_sounds(options, 1e-2);
}

}  // namespace engine
