// Which part of the problem the tiles of an implicit GEMM are.
#pragma once

#include <cstdint>

namespace engine::cuda {

/// Which part of the problem a tile is.
struct GemmTilePlace {
  int64_t sample;
  int64_t column;  // the first
  int group;
  int row;  // the first
  int weight_block;
  bool first_of_sample;
  bool last_of_sample;
};

/// Place of tile `tile`, of `rows` rows, by the parameters of a kernel. The tiles of all rows of
/// one window follow each other.
template <typename Gemm>
__device__ __forceinline__ GemmTilePlace place_of(const Gemm& p, int64_t tile, int rows) {
  GemmTilePlace place;
  const int64_t column_tile = p.by_blocks.quotient(tile);
  place.weight_block = static_cast<int>(tile - column_tile * p.by_blocks.divisor());
  place.group = static_cast<int>(p.by_row_tiles.quotient(place.weight_block));
  place.row = (place.weight_block - place.group * p.row_tiles) * rows;
  place.sample = p.by_column_tiles.quotient(column_tile);
  const int64_t in_sample = column_tile - place.sample * p.column_tiles;
  place.column = in_sample * p.advance;
  place.first_of_sample = in_sample == 0;
  place.last_of_sample = in_sample == p.column_tiles - 1;
  return place;
}

}  // namespace engine::cuda
