#include "engine/model/file_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "engine/error.h"

namespace engine {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& path, int error) {
  throw Error(ErrorKind::kIo,
              fmt::format("{}: cannot write the file: {}", path, std::strerror(error)));
}

// Returns 0, or the errno of what failed. Closes `fd` in any case.
int write_and_close(int fd, const std::vector<std::string_view>& parts) {
  for (std::string_view rest : parts) {
    while (!rest.empty()) {
      const ssize_t written = write(fd, rest.data(), rest.size());
      if (written < 0 && errno != EINTR) {
        const int error = errno;
        close(fd);
        return error;
      }
      if (written > 0) rest.remove_prefix(static_cast<size_t>(written));
    }
  }
  return close(fd) == 0 ? 0 : errno;
}

// A new file beside `path`: its name, and its descriptor or -1.
std::pair<std::string, int> create_temporary(const std::string& path) {
  for (int attempt = 0;; ++attempt) {
    const std::string name = fmt::format("{}.{}-{}.tmp", path, getpid(), attempt);
    const int fd = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return {name, fd};
  }
}

void write_directly(const std::string& path, const std::vector<std::string_view>& parts) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) fail(path, errno);
  if (const int error = write_and_close(fd, parts)) fail(path, error);
}

}  // namespace

void write_file(const std::string& path, const std::vector<std::string_view>& parts) {
  std::error_code ignored;
  if (fs::exists(path, ignored) && !fs::is_regular_file(path, ignored)) {
    return write_directly(path, parts);
  }
  // A symbolic link stays one: the file that it points to is replaced.
  const fs::path real_path = fs::canonical(path, ignored);
  const std::string target = real_path.empty() ? path : real_path.string();
  const auto [temporary, fd] = create_temporary(target);
  if (fd < 0) fail(path, errno);
  int error = write_and_close(fd, parts);
  if (error == 0 && std::rename(temporary.c_str(), target.c_str()) != 0) error = errno;
  if (error == 0) return;
  std::remove(temporary.c_str());
  fail(path, error);
}

}  // namespace engine
