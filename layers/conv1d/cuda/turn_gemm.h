// The parameters of the GEMM that turns windows of x, as they go to the device.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/cuda/fast_divide.h"
#include "engine/cuda/tensor_map.h"
#include "engine/layer.h"
#include "layers/conv1d/cuda/epilogue.h"
#include "layers/conv1d/cuda/turn_plan.h"

namespace engine::cuda {

/// One convolution. Names as in TurnPlan, and where a tile's place is found as in ImplicitGemm.
struct TurnGemm {
  TurnGemm(int64_t blocks, int64_t column_tile_count, int64_t row_tile_count)
      : by_blocks(blocks), by_column_tiles(column_tile_count), by_row_tiles(row_tile_count) {}

  // Of rows.
  TensorMap windows;  // x as [samples x groups, channels of a group, length]
  TensorMap sides;
  // Of units, as in UnitPlanes.
  const char* units;
  const uint32_t* largest;  // of f32: the largest magnitude of each sample and group, as bits
  int plane_count;
  int plane_units;  // with their parts
  int64_t plane_length;
  int plane[kMostTurnWindows];
  const void* weights;
  void* y;
  Epilogue epilogue;
  const float* row_scales;  // of f32, as turn_row_scales() gives them
  int64_t out_length;
  int group_outputs;
  // Rows.
  int phases;
  int lead;
  int half_channels;
  int tile_channels;
  int staged_pitch;  // bytes
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
  int slot_bytes;    // of the ring of windows
  int window_bytes;  // that are copied to a slot
  int positions;     // of a window
  int side_count;
  int weight_bytes;
  int weight_slot_bytes;
  bool resident;
  int ring;
  int weight_ring;
  int offset[kMostTurnWindows];           // of windows
  int group_tap[kMostTurnTaps + 1];       // of groups
  int first_group[kMostTurnWindows + 1];  // of windows
  // Of taps, in units of shared memory from the beginning of their slots.
  int window_unit[kMostTurnTaps];
  int weight_unit[kMostTurnTaps];
};

/// Fills everything but pointers.
TurnGemm turn_gemm(const Conv1dProblem& problem, const TurnPlan& plan);

/// Gives `gemm` rows of x, which begins at a multiple of 16 bytes. Tests that have no driver make
/// tensor maps of their own.
void set_rows(TurnGemm& gemm, const Conv1dProblem& problem, const void* x,
              decltype(&tensor_map) make_map = tensor_map);

/// One kernel that is compiled for sm_90a.
struct TurnKernel {
  TurnTileSize tile;
  int64_t shared_bytes;  ///< for a plan
  void (*launch)(const TurnGemm& gemm, int64_t shared_bytes, int64_t blocks, CudaStream stream);
};

/// The kernels of one precision, in turn_gemm_sm90_<precision>.cu.
std::vector<TurnKernel> turn_kernels_sm90_fp32();
std::vector<TurnKernel> turn_kernels_sm90_tf32();
std::vector<TurnKernel> turn_kernels_sm90_fp16();
std::vector<TurnKernel> turn_kernels_sm90_bf16();

}  // namespace engine::cuda
