// The one exception type of the library.
#pragma once

#include <stdexcept>
#include <string>

namespace engine {

/// What went wrong, for programs that react differently to different failures.
enum class ErrorKind {
  kInvalidArgument,  ///< a call or tensor that does not fit what was declared
  kModel,            ///< the model file says something that cannot be built
  kWeights,          ///< a weight file is malformed, or lacks what the model needs
  kIo,               ///< a file cannot be read or written
  kUnsupported,      ///< legal, but not available in this build or on this device
  kOutOfMemory,      ///< host or device memory ran out; the engine stays usable
  kDevice,           ///< the GPU or its driver reported a failure
};

/// Every failure of the library is thrown as an Error; what() is one clear line that says where,
/// what was found, what was expected and what to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace engine
