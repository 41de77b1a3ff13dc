// How the loading warps of the Hopper implicit GEMM bring one stage's window of x to shared memory,
// to the units that window_units.h describes: each warp a window of its own, by load_stage(), which
// chooses among the ways above it.
#pragma once

#include <cstdint>
#include <type_traits>

#include "engine/cuda/device_access.h"
#include "layers/conv1d/cuda/copy_async.h"
#include "layers/conv1d/cuda/window_units.h"

namespace engine::cuda {

// Loads a window of any kind, one unit of a slot after the other. kMapped: positions beyond the
// ends are not zeros.
template <typename Tile, bool kMapped, typename Raw>
__device__ __forceinline__ void load_any_window(const ImplicitGemm& p, const Window<Raw>& window,
                                                uint4* target) {
  constexpr int kElements = kUnitElements<Raw>;
  constexpr int kSlots = 16 / kElements;
  const int units = p.stage_units;
#pragma unroll 1
  for (int begin = threadIdx.x % 32; begin < p.slots * units; begin += 32 * kSlots) {
    Raw unit[kSlots][kElements];
#pragma unroll
    for (int s = 0; s < kSlots; ++s) {
      const int u = p.by_slots.quotient(begin + 32 * s);
      const int slot = begin + 32 * s - u * p.slots;
      const uint32_t row = p.by_residues.quotient(slot);
      const int64_t position =
          window.position + row * p.stride + p.residue[slot - row * p.residues];
#pragma unroll
      for (int e = 0; e < kElements; ++e) {
        const int channel = u * p.unit_channels + (e >> p.log_unit_taps);
        int64_t source = position + (e & (p.unit_taps - 1)) * p.spacing;
        if constexpr (kMapped) source = padded_source(source, p.in_length, p.padding_mode);
        unit[s][e] = load_or_zero(window.x + channel * p.in_length + source,
                                  u < units && channel < window.channels && inside(p, source));
      }
    }
#pragma unroll
    for (int s = 0; s < kSlots; ++s) {
      const int u = p.by_slots.quotient(begin + 32 * s);
      const int slot = begin + 32 * s - u * p.slots;
      const SlotPlace place(p, u < units ? slot : -1);
      store_unit<Tile::kParts>(unit[s], target + place.first + u * p.unit_pitch,
                               p.stage_units * p.unit_pitch, place.exists);
    }
  }
}

// Loads a window whose slots are neighbouring positions, for channels that all exist: kUnits units
// of channels at once (all of them, or a divisor of them).
template <typename Tile, int kUnits, typename Raw>
__device__ __forceinline__ void load_window(const ImplicitGemm& p, const Window<Raw>& window,
                                            uint4* target) {
  constexpr int kElements = kUnitElements<Raw>;
  constexpr int kSlots = Tile::kWordsInFlight / (kElements * kUnits);
#pragma unroll 1
  for (int begin = threadIdx.x % 32; begin < p.slots; begin += 32 * kSlots) {
    const Raw* first = window.x + window.position + begin;
#pragma unroll 1
    for (int u = 0; u < p.stage_units; u += kUnits) {
      Raw unit[kSlots][kUnits][kElements];
      const Raw* source = first;
#pragma unroll
      for (int c = 0; c < kUnits * kElements; ++c, source += p.in_length) {
#pragma unroll
        for (int s = 0; s < kSlots; ++s) {
          const int slot = begin + 32 * s;
          unit[s][c / kElements][c % kElements] =
              load_or_zero(source + 32 * s, slot < p.slots && inside(p, window.position + slot));
        }
      }
      first = source;
#pragma unroll
      for (int s = 0; s < kSlots; ++s) {
        const SlotPlace place(p, begin + 32 * s);
#pragma unroll
        for (int i = 0; i < kUnits; ++i) {
          store_unit<Tile::kParts>(unit[s][i], target + place.first + (u + i) * p.unit_pitch,
                                   p.stage_units * p.unit_pitch, place.exists);
        }
      }
    }
  }
}

// Loads kUnits units of channels, from unit `u` on, of `kPairs` pairs of slots 64 apart; `slot` is
// the first slot of the first pair, whose position is even.
template <typename Tile, int kUnits, int kPairs, typename Raw>
__device__ __forceinline__ void load_pairs(const ImplicitGemm& p, const Window<Raw>& window,
                                           int slot, int u, uint4* target) {
  constexpr int kElements = kUnitElements<Raw>;
  Raw even[kPairs][kUnits][kElements], odd[kPairs][kUnits][kElements];
  const Raw* source = window.x + int64_t{u} * kElements * p.in_length + window.position + slot;
#pragma unroll
  for (int c = 0; c < kUnits * kElements; ++c, source += p.in_length) {
#pragma unroll
    for (int s = 0; s < kPairs; ++s) {
      const int at = slot + 64 * s;
      const auto pair =
          load_pair_or_zero(source + 64 * s, at < p.slots && inside(p, window.position + at));
      even[s][c / kElements][c % kElements] = pair.x;
      odd[s][c / kElements][c % kElements] = pair.y;
    }
  }
#pragma unroll
  for (int s = 0; s < kPairs; ++s) {
    const SlotPlace place(p, slot + 64 * s), next(p, slot + 64 * s + 1);
#pragma unroll
    for (int i = 0; i < kUnits; ++i) {
      store_unit<Tile::kParts>(even[s][i], target + place.first + (u + i) * p.unit_pitch,
                               p.stage_units * p.unit_pitch, place.exists);
      store_unit<Tile::kParts>(odd[s][i], target + next.first + (u + i) * p.unit_pitch,
                               p.stage_units * p.unit_pitch, next.exists);
    }
  }
}

// The same as load_window() by pairs of positions, for rows that begin at even addresses. Windows
// are a tile and a few slots: those few are loaded with a lane for each unit of each pair.
template <typename Tile, int kUnits, typename Raw>
__device__ __forceinline__ void load_window_by_pairs(const ImplicitGemm& p,
                                                     const Window<Raw>& window, uint4* target) {
  constexpr int kWords = sizeof(Raw) == 4 ? 2 : 1;  // of a pair
  constexpr int kPairs = Tile::kWordsInFlight / (kUnitElements<Raw> * kUnits * kWords);
  const int lane = threadIdx.x % 32;
  const int lead = static_cast<int>(window.position & 1);
  const int rest = (p.slots + lead) % 64;
  const bool few = rest <= 16;
  const int many = p.slots + lead - (few ? rest : 0);
#pragma unroll 1
  for (int begin = 2 * lane - lead; begin < many - lead; begin += 64 * kPairs) {
#pragma unroll 1
    for (int u = 0; u < p.stage_units; u += kUnits) {
      load_pairs<Tile, kUnits, kPairs>(p, window, begin, u, target);
    }
  }
  if (!few) return;
#pragma unroll 1
  for (int i = lane; i < (rest + 1) / 2 * p.stage_units; i += 32) {
    const int pair = i / p.stage_units;
    load_pairs<Tile, 1, 1>(p, window, many - lead + 2 * pair, i - pair * p.stage_units, target);
  }
}

template <typename Tile, int kUnits, typename Raw>
__device__ __forceinline__ void load_contiguous_window(const ImplicitGemm& p,
                                                       const Window<Raw>& window, uint4* target) {
  if (p.even_rows) {
    load_window_by_pairs<Tile, kUnits>(p, window, target);
  } else {
    load_window<Tile, kUnits>(p, window, target);
  }
}

// Starts the copies of a window of f32 whose positions beyond the ends are zeros to where its units
// lie, element by element: nothing waits in registers, and any alignment will do.
__device__ __forceinline__ void start_any_copies(const ImplicitGemm& p, const Window<float>& window,
                                                 uint4* target) {
  // Slots count from the window's position; those from `low` on, `inside` of them, are in x.
  constexpr int64_t kFar = 1 << 30;
  const int low = static_cast<int>(min(max(-window.position, int64_t{0}), kFar));
  const auto inside =
      static_cast<uint32_t>(max(min(p.in_length - window.position, kFar) - low, int64_t{0}));
  const auto spacing = static_cast<int>(p.spacing), stride = static_cast<int>(p.stride);
  const float* first = window.x + window.position;
#pragma unroll 1
  for (int i = threadIdx.x % 32; i < p.slots * p.stage_units; i += 32) {
    const int u = p.by_slots.quotient(i);
    const int slot = i - u * p.slots;
    const int row = p.by_residues.quotient(slot);
    const int position = row * stride + p.residue[slot - row * p.residues];
    const SlotPlace place(p, slot);
    float* unit = reinterpret_cast<float*>(target + place.first + u * p.unit_pitch);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int channel = u * p.unit_channels + (e >> p.log_unit_taps);
      const int source = position + (e & (p.unit_taps - 1)) * spacing;
      copy_async_4_or_zero(
          unit + e, first + channel * p.in_length + source,
          channel < window.channels && static_cast<uint32_t>(source - low) < inside);
    }
  }
}

// The same for slots that are neighbouring positions and channels that all exist: a lane copies
// slots `begin`, `begin` + 32 ... of all channels, and the last few slots are dealt out by
// channels.
__device__ __forceinline__ void start_contiguous_copies(const ImplicitGemm& p,
                                                        const Window<float>& window,
                                                        uint4* target) {
  const int lane = threadIdx.x % 32;
  const int rest = p.slots % 32;
  const bool few = rest <= 8;
  const int many = few ? p.slots - rest : p.slots;
#pragma unroll 1
  for (int slot = lane; slot < many; slot += 32) {
    const bool exists = inside(p, window.position + slot);
    const float* source = window.x + window.position + slot;
    const SlotPlace place(p, slot);
    uint4* unit = target + place.first;
#pragma unroll 4
    for (int u = 0; u < p.stage_units; ++u, unit += p.unit_pitch) {
#pragma unroll
      for (int e = 0; e < 4; ++e, source += p.in_length) {
        copy_async_4_or_zero(reinterpret_cast<float*>(unit) + e, source, exists);
      }
    }
  }
  if (!few) return;
#pragma unroll 1
  for (int i = lane; i < rest * p.stage_units * 4; i += 32) {
    const int channel = i / rest;
    const int slot = many + i - channel * rest;
    const SlotPlace place(p, slot);
    const float* source = window.x + channel * p.in_length + window.position + slot;
    copy_async_4_or_zero(
        reinterpret_cast<float*>(target + place.first + channel / 4 * p.unit_pitch) + channel % 4,
        source, inside(p, window.position + slot));
  }
}

// Rounds the units of a window of f32 that the warp has copied, and splits them where there are two
// parts; what lies between arrays of units may be rounded too.
template <typename Tile>
__device__ __forceinline__ void round_window(const ImplicitGemm& p, uint4* target) {
  const int units = p.stage_units * p.unit_pitch;
#pragma unroll 4
  for (int i = threadIdx.x % 32; i < units; i += 32) {
    const float4 copied = *reinterpret_cast<const float4*>(target + i);
    const float values[4] = {copied.x, copied.y, copied.z, copied.w};
    store_unit<Tile::kParts>(values, target + i, units, true);
  }
}

// Calls load(units) with as many units of channels as are loaded at once, a constant that divides
// those of a stage.
template <typename Load>
__device__ __forceinline__ void with_unit_count(int stage_units, const Load& load) {
  if (stage_units == 1) {
    load(std::integral_constant<int, 1>());
  } else if (stage_units == 2) {
    load(std::integral_constant<int, 2>());
  } else {
    load(std::integral_constant<int, 4>());
  }
}

// Loads a window, or starts the copies of one of f32 and returns true. Pairs of neighbouring
// positions are loaded faster than they are copied one by one, unless there are few registers to
// load them to; but where weights stream, copies disturb them (measured).
template <typename Tile>
__device__ __forceinline__ bool load_stage(const ImplicitGemm& p, const Window<float>& window,
                                           uint4* target) {
  const bool whole = p.contiguous && window.channels >= p.stage_units * p.unit_channels;
  if (p.padding_mode != PaddingMode::kZeros) {
    load_any_window<Tile, true>(p, window, target);
    return false;
  }
  if (whole && p.even_rows && (Tile::kWideLoads || !p.resident)) {
    with_unit_count(p.stage_units,
                    [&](auto units) { load_window_by_pairs<Tile, units()>(p, window, target); });
    return false;
  }
  if (whole) {
    start_contiguous_copies(p, window, target);
  } else {
    start_any_copies(p, window, target);
  }
  commit_copies();
  return true;
}

// The same for 16-bit values, which travel as bits and are too small to be copied.
template <typename Tile>
__device__ __forceinline__ bool load_stage(const ImplicitGemm& p, const Window<uint16_t>& window,
                                           uint4* target) {
  if (p.padding_mode != PaddingMode::kZeros) {
    load_any_window<Tile, true>(p, window, target);
  } else if (!p.contiguous || window.channels < p.stage_units * p.unit_channels) {
    load_any_window<Tile, false>(p, window, target);
  } else {
    with_unit_count(p.stage_units,
                    [&](auto units) { load_contiguous_window<Tile, units()>(p, window, target); });
  }
  return false;
}

}  // namespace engine::cuda
