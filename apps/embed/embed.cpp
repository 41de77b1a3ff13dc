// Runs a model with one audio input on a tone of 440 Hz and prints what it says.
// usage: embed MODEL.yaml
#include <engine/engine.h>

#include <cmath>
#include <cstdio>
#include <vector>

namespace {

std::vector<float> tone(double sample_rate, double seconds) {
  std::vector<float> samples(static_cast<size_t>(sample_rate * seconds));
  for (size_t i = 0; i < samples.size(); ++i) {
    const double time = static_cast<double>(i) / sample_rate;
    samples[i] = static_cast<float>(0.1 * std::sin(2.0 * 3.14159265358979 * 440.0 * time));
  }
  return samples;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: embed MODEL.yaml\n");
    return 2;
  }
  const auto model = engine::Engine::load(argv[1]);
  std::vector<float> samples = tone(model.inputs()[0].sample_rate.value_or(16000.0), 1.0);
  const auto length = static_cast<int64_t>(samples.size());
  const auto output = model.run({engine::Tensor::wrap(samples.data(), {1, 1, length})}).front();

  const float* values = output.data<float>();
  for (int64_t i = 0; i < output.elements(); ++i) {
    const auto label = static_cast<size_t>(i);
    const bool named = label < model.labels().size();
    std::printf("%-12s %.4f\n", named ? model.labels()[label].c_str() : "", values[i]);
  }
  return 0;
} catch (const engine::Error& error) {
  std::fprintf(stderr, "embed: %s\n", error.what());
  return 1;
}
