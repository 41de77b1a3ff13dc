// The program's standard output and error.
#pragma once

#include <string>

namespace engine::cli {

/// Makes a closed standard stream, or a reader that went away, harmless: closed streams become
/// /dev/null, so that no file opened later takes their number, and SIGPIPE is ignored.
void prepare_console();

/// Writes results to stdout at once. A reader that went away is no failure. Throws Error(kIo) on
/// any other, such as a full disk.
void print(const std::string& text);

/// "engine: note: ..." on stderr: something that the user did not ask for, but should know.
void note(const std::string& message);

/// "engine: error: ..." on stderr, always one line.
void print_error(const std::string& message);

}  // namespace engine::cli
