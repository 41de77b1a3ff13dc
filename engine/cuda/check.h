// Turns CUDA status codes into Errors.
#pragma once

#include <cuda_runtime.h>

namespace engine::cuda {

/// Throws Error(kOutOfMemory) or Error(kDevice) unless `status` is success; `what` says which call.
void check(cudaError_t status, const char* what);

}  // namespace engine::cuda
