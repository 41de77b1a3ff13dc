// Launching the Hopper implicit GEMM kernels.
#pragma once

#include <vector>

#include "layers/conv1d/cuda/implicit_gemm_step.h"

namespace engine::cuda {

/// One kernel that is compiled for sm_90a.
struct Sm90Kernel {
  GemmTile tile;
  int teams = 1;      ///< tiles that a block computes at once
  bool plain = true;  ///< takes no activations but ReLU and LeakyReLU
  ImplicitGemmLaunch launch = nullptr;
};

/// The kernels of one precision, in implicit_gemm_sm90_<precision>.cu.
std::vector<Sm90Kernel> sm90_kernels_fp32();
std::vector<Sm90Kernel> sm90_kernels_tf32();
std::vector<Sm90Kernel> sm90_kernels_fp16();
std::vector<Sm90Kernel> sm90_kernels_bf16();

/// Those that gather their operands, in gather_gemm_sm90_<precision>.cu.
std::vector<Sm90Kernel> gather_kernels_sm90_fp32();
std::vector<Sm90Kernel> gather_kernels_sm90_tf32();
std::vector<Sm90Kernel> gather_kernels_sm90_fp16();
std::vector<Sm90Kernel> gather_kernels_sm90_bf16();

}  // namespace engine::cuda
