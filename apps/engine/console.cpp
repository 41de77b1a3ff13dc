#include "apps/engine/console.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "engine/error.h"

namespace engine::cli {
namespace {

void print_message(const char* kind, std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  // A line of progress may stand there.
  const char* clear_line = ::isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "";
  const std::string line = fmt::format("{}engine: {}: {}\n", clear_line, kind, message);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

void prepare_console() {
  std::signal(SIGPIPE, SIG_IGN);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // open() returns the lowest free number: the closed stream's own.
    if (::fcntl(stream, F_GETFD) == -1) ::open("/dev/null", O_RDWR);
  }
}

void print(const std::string& text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if ((!written || std::fflush(stdout) != 0) && errno != EPIPE) {
    throw Error(ErrorKind::kIo, fmt::format("cannot write the result: {}", std::strerror(errno)));
  }
}

void note(const std::string& message) { print_message("note", message); }

void print_error(const std::string& message) { print_message("error", message); }

}  // namespace engine::cli
