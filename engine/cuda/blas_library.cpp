#include "engine/cuda/blas_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

#include "engine/error.h"

namespace engine::cuda {
namespace {

// Looks where the dynamic linker does, then in the toolkit that this was compiled with.
void* open_library(const char* name) {
  const std::string file = fmt::format("lib{}.so.{}", name, CUBLAS_VER_MAJOR);
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  const std::string reason = library == nullptr ? dlerror() : "";
  if (library == nullptr) library = dlopen((ENGINE_CUDA_LIBRARIES "/" + file).c_str(), RTLD_NOW);
  if (library != nullptr) return library;
  throw Error(
      ErrorKind::kDevice,
      fmt::format("{}: cannot be loaded ({}), nor from {}; install cuBLAS of CUDA {}, or put "
                  "its folder into LD_LIBRARY_PATH",
                  file, reason, ENGINE_CUDA_LIBRARIES, CUBLAS_VER_MAJOR));
}

template <typename Function>
Function find(void* library, const char* name) {
  void* function = dlsym(library, name);
  if (function != nullptr) return reinterpret_cast<Function>(function);
  throw Error(ErrorKind::kDevice,
              fmt::format("cuBLAS has no function {}: version {}.{} or later is "
                          "needed",
                          name, CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR));
}

BlasLibrary load() {
  // cuBLAS needs cuBLASLt, which it finds loaded.
  void* lt = open_library("cublasLt");
  void* blas = open_library("cublas");
  BlasLibrary library;
#define ENGINE_NAME(function) #function
#define ENGINE_FIND(from, function) \
  library.function = find<decltype(library.function)>(from, ENGINE_NAME(function));
#define ENGINE_FIND_BLAS(function) ENGINE_FIND(blas, function)
#define ENGINE_FIND_LT(function) ENGINE_FIND(lt, function)
  ENGINE_CUBLAS_FUNCTIONS(ENGINE_FIND_BLAS)
  ENGINE_CUBLASLT_FUNCTIONS(ENGINE_FIND_LT)
#undef ENGINE_FIND_LT
#undef ENGINE_FIND_BLAS
#undef ENGINE_FIND
#undef ENGINE_NAME
  return library;
}

}  // namespace

const BlasLibrary& blas_library() {
  static const BlasLibrary library = load();
  return library;
}

}  // namespace engine::cuda
