#include "apps/engine/audio_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/engine/resample.h"
#include "engine/error.h"

namespace engine::cli {
namespace {

[[noreturn]] void reject(const InputSpec& input, const std::string& path, const std::string& why) {
  throw Error(ErrorKind::kInvalidArgument, fmt::format("{}: does not fit input '{}' {}: {}", path,
                                                       input.name, declared_text(input), why));
}

void check_takes_sound(const InputSpec& input, const std::string& path) {
  constexpr const char* kShapes = "[length], [batch, length] or [batch, channels, length]";
  const size_t rank = input.shape.size();
  if (!is_floating(input.dtype) || rank < 1 || rank > 3) {
    reject(input, path, fmt::format("sound fits floating-point inputs of shape {}", kShapes));
  }
  for (size_t d = 0; d + 1 < rank; ++d) {
    if (input.shape[d].name == "length") {
      reject(input, path, fmt::format("sound fits {}; transpose it into a .npy file", kShapes));
    }
  }
  if (rank > 1 && !input.shape[0].is_named() && input.shape[0].value != 1) {
    reject(input, path,
           fmt::format("a sound file is a batch of 1, expected {}; stack them in a "
                       ".npy file",
                       input.shape[0].value));
  }
}

std::vector<float> average(const std::vector<std::vector<float>>& channels) {
  std::vector<float> mean(channels.front().size(), 0.0f);
  for (const std::vector<float>& channel : channels) {
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += channel[i];
  }
  const float scale = 1.0f / static_cast<float>(channels.size());
  for (float& sample : mean) sample *= scale;
  return mean;
}

void fit_channels(Audio& audio, const InputSpec& input, const std::string& path,
                  const Notify& notify) {
  const size_t rank = input.shape.size();
  const SizeSpec wanted = rank == 3 ? input.shape[1] : SizeSpec{"", 1};
  const auto found = static_cast<int64_t>(audio.channels.size());
  if (wanted.is_named() || wanted.value == found) return;
  if (wanted.value == 1) {
    audio.channels = {average(audio.channels)};
    notify(fmt::format("{}: {} channels mixed down to the one that the model takes", path, found));
  } else if (found == 1) {
    audio.channels.resize(static_cast<size_t>(wanted.value), audio.channels[0]);
    notify(fmt::format("{}: one channel repeated for the {} that the model takes", path,
                       wanted.value));
  } else {
    reject(input, path, fmt::format("it has {} channels, expected {} or 1", found, wanted.value));
  }
}

void fit_rate(Audio& audio, const InputSpec& input, const std::string& path, const Notify& notify) {
  if (!input.sample_rate) {
    notify(fmt::format("{}: {} Hz taken as is; input '{}' declares no sample_rate", path,
                       audio.sample_rate, input.name));
    return;
  }
  const double wanted = *input.sample_rate;
  if (wanted == static_cast<double>(audio.sample_rate)) return;
  constexpr double kHighestRate = 1e9;
  if (wanted != std::floor(wanted) || wanted > kHighestRate) {
    reject(input, path,
           fmt::format("cannot resample {} Hz to {} Hz; only to whole rates up to "
                       "{:.0f} Hz",
                       audio.sample_rate, wanted, kHighestRate));
  }
  const auto rate = static_cast<int64_t>(wanted);
  for (std::vector<float>& channel : audio.channels) {
    channel = resample(channel, audio.sample_rate, rate);
  }
  notify(fmt::format("{}: resampled from {} Hz to the {} Hz that the model takes", path,
                     audio.sample_rate, rate));
  audio.sample_rate = rate;
}

void fit_length(Audio& audio, const InputSpec& input, const std::string& path,
                const Notify& notify) {
  const SizeSpec& wanted = input.shape.back();
  const int64_t found = audio.length();
  if (wanted.is_named() || wanted.value == found) return;
  for (std::vector<float>& channel : audio.channels) {
    channel.resize(static_cast<size_t>(wanted.value), 0.0f);
  }
  notify(found < wanted.value
             ? fmt::format("{}: {} samples padded with zeros to the {} that the model takes", path,
                           found, wanted.value)
             : fmt::format("{}: only the first {} of {} samples used; the model takes no more",
                           path, wanted.value, found));
}

}  // namespace

std::string declared_text(const InputSpec& input) {
  std::string sizes;
  for (const SizeSpec& size : input.shape) {
    sizes +=
        (sizes.empty() ? "" : ", ") + (size.is_named() ? size.name : std::to_string(size.value));
  }
  return fmt::format("{} [{}]", to_string(input.dtype), sizes);
}

Tensor fit_audio(Audio audio, const InputSpec& input, const std::string& path,
                 const Notify& notify) {
  check_takes_sound(input, path);
  fit_channels(audio, input, path, notify);
  fit_rate(audio, input, path, notify);
  fit_length(audio, input, path, notify);
  const auto channels = static_cast<int64_t>(audio.channels.size());
  Shape shape{1, channels, audio.length()};
  shape.erase(shape.begin(), shape.end() - static_cast<int64_t>(input.shape.size()));
  Tensor tensor = Tensor::empty(shape);
  float* target = tensor.data<float>();
  for (const std::vector<float>& channel : audio.channels) {
    target = std::copy(channel.begin(), channel.end(), target);
  }
  return tensor.to(input.dtype);
}

}  // namespace engine::cli
