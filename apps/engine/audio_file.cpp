#include "apps/engine/audio_file.h"

#include <fmt/format.h>
#include <sndfile.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "engine/error.h"

namespace engine::cli {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& why) {
  throw Error(ErrorKind::kIo, fmt::format("{}: {}", path, why));
}

// libsndfile says "System error." for whatever the system had to say.
void check_readable(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) fail(path, std::strerror(errno));
  const bool readable = std::fgetc(file) != EOF;
  const int reason = errno;
  const bool failed = std::ferror(file) != 0;
  std::fclose(file);
  if (failed) fail(path, std::strerror(reason));
  if (!readable) fail(path, "the file is empty");
}

}  // namespace

Audio read_audio(const std::string& path) {
  check_readable(path);
  SF_INFO info{};
  const std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> file(sf_open(path.c_str(), SFM_READ, &info),
                                                         sf_close);
  if (!file) {
    fail(path, fmt::format("not a sound file that can be read ({}); expected .wav or another "
                           "format of libsndfile, .npy or .npz",
                           sf_strerror(nullptr)));
  }
  if (info.channels < 1 || info.samplerate < 1) fail(path, "declares no channels or sample rate");

  Audio audio{std::vector<std::vector<float>>(static_cast<size_t>(info.channels)), info.samplerate};
  // In blocks, because the header's length may be wrong.
  constexpr sf_count_t kFrames = 65536;
  std::vector<float> block(static_cast<size_t>(kFrames * info.channels));
  while (const sf_count_t frames = sf_readf_float(file.get(), block.data(), kFrames)) {
    const float* sample = block.data();
    for (sf_count_t i = 0; i < frames; ++i) {
      for (std::vector<float>& channel : audio.channels) channel.push_back(*sample++);
    }
  }
  if (sf_error(file.get()) != SF_ERR_NO_ERROR) fail(path, sf_strerror(file.get()));
  if (audio.length() == 0) fail(path, "holds no samples");
  return audio;
}

}  // namespace engine::cli
