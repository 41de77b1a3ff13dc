// Sound files, in every format that libsndfile reads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace engine::cli {

/// Sound in memory: samples of full scale 1, one vector for each channel, all of one length.
struct Audio {
  std::vector<std::vector<float>> channels;
  int64_t sample_rate = 0;  ///< Hz

  int64_t length() const { return static_cast<int64_t>(channels.front().size()); }
};

/// Told of everything about a file, or done to it, that the user should know.
using Notify = std::function<void(const std::string& message)>;

/// Reads a whole file: at least one channel and one sample. Notifies of a WAV file that ends before
/// its declared end. Throws Error(kIo).
Audio read_audio(const std::string& path, const Notify& notify);

}  // namespace engine::cli
