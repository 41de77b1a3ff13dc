// Sound files, in every format that libsndfile reads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace engine::cli {

/// Sound in memory: samples of full scale 1, one vector for each channel, all of one length.
struct Audio {
  std::vector<std::vector<float>> channels;
  int64_t sample_rate = 0;  ///< Hz

  int64_t length() const { return static_cast<int64_t>(channels.front().size()); }
};

/// Reads a whole file: at least one channel and one sample. Throws Error(kIo).
Audio read_audio(const std::string& path);

}  // namespace engine::cli
