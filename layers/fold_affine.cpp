#include "layers/fold_affine.h"

namespace engine {

bool fits_affine(const ChannelAffine& affine, int64_t channels) {
  const auto count = static_cast<size_t>(channels);
  return affine.scale.size() == count && affine.shift.size() == count;
}

std::map<std::string, Tensor> fold_affine(const std::map<std::string, Tensor>& parameters,
                                          const ChannelAffine& affine, int64_t run,
                                          const std::function<int64_t(int64_t)>& channel_of) {
  Tensor weight = parameters.at("weight").clone();
  float* weights = weight.data<float>();
  const int64_t runs = weight.elements() / run;
  for (int64_t r = 0; r < runs; ++r, weights += run) {
    const double scale = affine.scale[static_cast<size_t>(channel_of(r))];
    for (int64_t i = 0; i < run; ++i) weights[i] = static_cast<float>(weights[i] * scale);
  }
  const auto channels = static_cast<int64_t>(affine.scale.size());
  const auto old_bias = parameters.find("bias");
  Tensor bias = old_bias == parameters.end() ? Tensor::zeros({channels}) : old_bias->second.clone();
  for (int64_t c = 0; c < channels; ++c) {
    const auto at = static_cast<size_t>(c);
    float& value = bias.data<float>()[c];
    value = static_cast<float>(value * affine.scale[at] + affine.shift[at]);
  }
  return {{"weight", weight}, {"bias", bias}};
}

}  // namespace engine
