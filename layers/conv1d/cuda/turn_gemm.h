// The parameters of the GEMM that turns windows of x, as they go to the device.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/cuda/fast_divide.h"
#include "engine/cuda/host_device.h"
#include "engine/cuda/tensor_map.h"
#include "engine/layer.h"
#include "layers/conv1d/cuda/epilogue.h"
#include "layers/conv1d/cuda/turn_plan.h"

namespace engine::cuda {

/// The boxes of the copy engine that a window of rows consists of, beside its sides.
inline constexpr int kTurnBoxBytes = kTurnChannels * kSwizzledUnits * kUnitBytes;
inline constexpr int kTurnBoxes = kTurnWindowBytes / kTurnBoxBytes;

/// A group of taps in one word, so that warps can read it while they are busy with the one before.
class TapGroup {
 public:
  TapGroup() = default;
  TapGroup(int first_tap, int end_tap, int window, bool begins_window, bool ends_window)
      : word_(first_tap | end_tap << 8 | window << 16 | begins_window << 24 | ends_window << 25) {}

  /// In the plan's order.
  ENGINE_HOST_DEVICE int first_tap() const { return word_ & 0xff; }
  ENGINE_HOST_DEVICE int end_tap() const { return word_ >> 8 & 0xff; }
  ENGINE_HOST_DEVICE int window() const { return word_ >> 16 & 0xff; }
  /// Whether it is the first or the last one of its window.
  ENGINE_HOST_DEVICE bool begins_window() const { return word_ >> 24 & 1; }
  ENGINE_HOST_DEVICE bool ends_window() const { return word_ >> 25 & 1; }

 private:
  int word_;
};

/// Where a tap's operands begin, in units of shared memory from the beginning of their slots.
struct TapUnits {
  uint16_t window;
  uint16_t weights;
};

/// One convolution. Names as in TurnPlan, and where a tile's place is found as in ImplicitGemm.
struct TurnGemm {
  TurnGemm(int64_t blocks, int64_t column_tile_count, int64_t row_tile_count,
           int64_t sample_elements)
      : by_blocks(blocks),
        by_column_tiles(column_tile_count),
        by_row_tiles(row_tile_count),
        by_sample_elements(sample_elements) {}

  // Of rows.
  TensorMap boxes;  // x as [samples x groups, channels of a group, length]: a box of a window,
  TensorMap all_boxes;
  TensorMap side;  // a unit of each channel,
  TensorMap all_sides;
  // Of units, as in UnitPlanes.
  const char* units;
  const UnitScale* unit_scales;  // of f32, for each sample and group
  int64_t unit_pitch;            // bytes from a unit of channels to the next,
  int64_t sample_unit_bytes;     // of samples that are not joined
  int64_t stage_unit_bytes;
  int64_t group_unit_bytes;
  int64_t window_units[kMostTurnWindows];  // and to each window
  const void* weights;
  void* y;
  Epilogue epilogue;
  const float* row_scales;  // of f32, as turn_row_scales() gives them
  int64_t out_length;
  int group_outputs;
  // Rows.
  int in_length;
  int phases;
  int lead;
  int half_channels;
  int tile_channels;
  int staged_pitch;  // bytes
  // Tiles.
  int splits;  // blocks of a cluster, which share the stages of a tile
  int64_t tiles;
  int64_t column_tiles;
  int row_tiles;
  int groups;
  int advance;
  FastDivide by_blocks;
  FastDivide by_column_tiles;
  FastDivide by_row_tiles;
  // Of joined samples.
  bool joined;
  int samples;
  FastDivide by_sample_elements;  // of a row of y with those between samples
  int64_t to_next_sample;         // in y, beside those
  // Stages.
  int stages;
  int slot_bytes;    // of the ring of windows
  int window_bytes;  // that are copied to a slot, of rows
  int positions;     // of a window
  int side_count;
  int weight_bytes;
  int weight_slot_bytes;
  bool resident;
  int ring;
  int weight_ring;
  int window_count;
  int offset[kMostTurnWindows];           // of windows
  int tap_group_count;                    // of a stage
  TapGroup tap_group[kMostTurnTaps + 1];  // and the first one again, which follows the last
  TapUnits tap_units[kMostTurnTaps];
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
