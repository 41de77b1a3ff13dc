// Launching the implicit GEMM kernels for Ampere and later.
#pragma once

#include <vector>

#include "layers/conv1d/cuda/implicit_gemm_step.h"

namespace engine::cuda {

/// One compiled kernel.
struct Sm80Kernel {
  GemmTile tile;
  int blocks = 1;  ///< of a multiprocessor
  ImplicitGemmLaunch launch = nullptr;
};

/// The kernels of one precision, in implicit_gemm_sm80_<precision>.cu.
std::vector<Sm80Kernel> sm80_kernels_fp32();
std::vector<Sm80Kernel> sm80_kernels_tf32();
std::vector<Sm80Kernel> sm80_kernels_fp16();
std::vector<Sm80Kernel> sm80_kernels_bf16();

}  // namespace engine::cuda
