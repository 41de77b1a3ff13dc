// The parameters of the GEMM of shifted operands, as they go to the device.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/cuda/fast_divide.h"
#include "engine/cuda/tensor_map.h"
#include "engine/layer.h"
#include "layers/conv1d/cuda/epilogue.h"
#include "layers/conv1d/cuda/shift_plan.h"

namespace engine::cuda {

/// One convolution. Names as in ShiftPlan, and where a tile's place is found as in ImplicitGemm.
struct ShiftGemm {
  ShiftGemm(int64_t blocks, int64_t column_tile_count, int64_t row_tile_count)
      : by_blocks(blocks), by_column_tiles(column_tile_count), by_row_tiles(row_tile_count) {}

  TensorMap windows;  // x as [samples x groups, channels of a group, length]
  TensorMap sides;
  TensorMap results;  // y likewise, if by_tensor
  const void* weights;
  void* y;
  Epilogue epilogue;
  int64_t out_length;
  int group_outputs;
  bool by_tensor;  // the copy engine stores y, whose rows begin at multiples of 16 bytes
  // Tiles.
  int64_t tiles;
  int64_t column_tiles;
  int row_tiles;
  int groups;
  int advance;
  FastDivide by_blocks;
  FastDivide by_column_tiles;
  FastDivide by_row_tiles;
  // Stages.
  int stages;
  int window_count;
  bool left_sides;
  bool right_sides;
  int weight_bytes;
  bool resident;
  int ring;
  int offset[kMostShiftTaps];         // of windows
  int first_tap[kMostShiftTaps + 1];  // of windows
  int shift[kMostShiftTaps];          // of taps
};

/// Fills everything but pointers.
ShiftGemm shift_gemm(const Conv1dProblem& problem, const ShiftPlan& plan);

/// Gives `gemm` its input, which begins at a multiple of 16 bytes, and its output, which may begin
/// at any element. Tests that have no driver make tensor maps of their own.
void set_operands(ShiftGemm& gemm, const Conv1dProblem& problem, const ShiftPlan& plan,
                  const void* x, void* y, decltype(&tensor_map) make_map = tensor_map);

/// One kernel that is compiled for sm_90a.
struct ShiftKernel {
  int rows;
  int64_t shared_bytes;  ///< for a plan
  void (*launch)(const ShiftGemm& gemm, int64_t shared_bytes, int64_t blocks, CudaStream stream);
};

/// The kernels of one precision, in shift_gemm_sm90_<precision>.cu.
std::vector<ShiftKernel> shift_kernels_sm90_fp16();
std::vector<ShiftKernel> shift_kernels_sm90_bf16();

}  // namespace engine::cuda
