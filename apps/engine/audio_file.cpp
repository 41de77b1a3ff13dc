#include "apps/engine/audio_file.h"

#include <fmt/format.h>
#include <sndfile.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "engine/error.h"

namespace engine::cli {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& why) {
  throw Error(ErrorKind::kIo, fmt::format("{}: {}", path, why));
}

// The first bytes of a file. libsndfile says "System error." for whatever the system had to say.
std::string read_start(const std::string& path, size_t bytes) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) fail(path, std::strerror(errno));
  std::string start(bytes, '\0');
  start.resize(std::fread(start.data(), 1, bytes, file));
  const int reason = errno;
  const bool failed = std::ferror(file) != 0;
  std::fclose(file);
  if (failed) fail(path, std::strerror(reason));
  return start;
}

// A WAV file begins with "RIFF" and the number of bytes that follow, which libsndfile does not hold
// it to. Programs that write to a pipe leave a number there that no file reaches.
void check_complete(const std::string& path, const std::string& start, const Notify& notify) {
  if (!start.starts_with("RIFF") || start.size() < 8) return;
  uint32_t declared = 0;
  std::memcpy(&declared, start.data() + 4, sizeof(declared));
  const auto found = static_cast<int64_t>(std::filesystem::file_size(path)) - 8;
  constexpr uint32_t kWrittenToPipe = 0x7fff0000;
  if (declared >= kWrittenToPipe || found >= declared) return;
  notify(fmt::format("{}: the file is truncated: it declares {} bytes, but has {}", path,
                     int64_t{declared} + 8, found + 8));
}

}  // namespace

Audio read_audio(const std::string& path, const Notify& notify) {
  constexpr size_t kRiffHeaderBytes = 8;
  const std::string start = read_start(path, kRiffHeaderBytes);
  if (start.empty()) fail(path, "the file is empty");
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
  check_complete(path, start, notify);
  return audio;
}

}  // namespace engine::cli
