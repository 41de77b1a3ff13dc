// The parameters of the implicit GEMM kernels, as they go to the device.
#pragma once

#include <cstdint>

#include "engine/cuda/fast_divide.h"
#include "layers/conv1d/conv1d_problem.h"
#include "layers/conv1d/cuda/epilogue.h"
#include "layers/conv1d/cuda/gemm_deal.h"
#include "layers/conv1d/cuda/gemm_plan.h"

namespace engine::cuda {

/// n / divisor for n below 2^16, by a product.
struct SmallDivide {
  uint32_t multiplier = 0;
  uint32_t divisor = 1;

  SmallDivide() = default;
  explicit SmallDivide(int by)
      : multiplier(static_cast<uint32_t>(((uint64_t{1} << 32) + by - 1) / by)),
        divisor(static_cast<uint32_t>(by)) {}
  /// A divisor of 1 has no 32-bit multiplier.
  ENGINE_HOST_DEVICE uint32_t quotient(uint32_t n) const {
    return divisor == 1 ? n : static_cast<uint32_t>(uint64_t{n} * multiplier >> 32);
  }
};

/// Whether an activation is linear on either side of zero: such a one takes no function call.
ENGINE_HOST_DEVICE bool is_bend(const Activation& activation) {
  using Kind = Activation::Kind;
  return activation.kind == Kind::kIdentity || activation.kind == Kind::kReLU ||
         activation.kind == Kind::kLeakyReLU;
}

/// One convolution. Names as in GemmPlan.
struct ImplicitGemm {
  ImplicitGemm(int64_t blocks, int64_t column_tile_count, int64_t row_tile_count)
      : by_blocks(blocks), by_column_tiles(column_tile_count), by_row_tiles(row_tile_count) {}

  const void* x;
  const void* weights;
  void* y;
  Epilogue epilogue;
  // x and y.
  int64_t in_length;
  int64_t in_elements;
  int64_t out_length;
  int64_t in_channels;   // of all groups
  int64_t out_channels;  // of all groups
  int channels;          // of a group
  int group_outputs;
  PaddingMode padding_mode;
  // Tiles.
  int64_t tiles;
  int64_t whole_tiles;  // as in GemmDeal
  int64_t parcels;      // whole tiles, and pieces of the others
  SmallDivide by_pieces;
  int piece_stages;
  float* partial_sums;  // [cut tile][piece, but for the last][sums of a thread][thread]
  uint32_t* arrivals;   // of each cut tile: pieces whose sums are there
  int64_t column_tiles;
  int64_t columns;
  int row_tiles;
  int groups;
  int group_rows;
  int advance;
  int phases;
  int lead;
  int row_channels;
  int phase_blocks;
  // Stores: eights of rows in shared memory, and vectors of 16 bytes.
  int staged_phases;  // of eight rows
  int staged_pitch;   // floats from a channel to the next
  int row_vectors;    // of a channel's part
  SmallDivide by_row_vectors;
  bool odd_rows;     // column 0 of a row of y may begin between two pairs of elements
  bool by_matrices;  // gathered sums of 16 bits: rows of y begin at multiples of 8 bytes
  FastDivide by_blocks;
  FastDivide by_column_tiles;
  FastDivide by_row_tiles;
  // The window.
  int64_t stride;
  int64_t first;
  int64_t spacing;
  int unit_channels;
  int unit_taps;  // a power of two
  int log_unit_taps;
  int stage_units;
  int64_t stage_shift;  // input positions from a stage's taps to the next's
  int channel_stages;
  int tap_stages;
  int slots;  // units of a window for one unit of channels
  int residues;
  bool contiguous;  // slots are neighbouring positions, and units hold one tap
  bool even_rows;   // rows of x begin at even elements
  int residue_pitch;
  int unit_pitch;
  bool by_rows;  // windows are loaded by way of rows, which begin at units
  int row_units;
  int row_lead;
  int row_turn;
  int row_bytes;
  int row_buffers;
  int row_length;  // of a window that is gathered from, as in GemmPlan
  int row_pitch;
  SmallDivide by_slots;
  SmallDivide by_residues;
  int window_bytes;
  int weight_bytes;
  int ring;
  int chunks;
  bool resident;
  int steps;
  int residue[kMaxResidues];
  GemmStep step[kMaxSteps];
};

/// Fills everything but pointers.
ImplicitGemm implicit_gemm(const Conv1dProblem& problem, const GemmTile& tile, const GemmPlan& plan,
                           const GemmDeal& deal);

/// Gives `gemm` its input and output, which may begin at any element, and takes the ways to read
/// and write them that their addresses allow.
void set_operands(ImplicitGemm& gemm, const void* x, void* y, DType dtype);

}  // namespace engine::cuda
