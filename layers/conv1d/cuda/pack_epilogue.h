// The epilogue on a whole pack of neighbouring outputs.
#pragma once

#include <cstdint>

#include "engine/cuda/pack.h"
#include "layers/conv1d/cuda/epilogue.h"

namespace engine::cuda {

/// Finishes and stores the pack of y that begins at element `first` and is aligned. `values` have
/// their bias. `residual_aligned`: the residual's packs are aligned where y's are.
template <typename T>
__device__ __forceinline__ void finish_pack(float (&values)[kPackWidth<T>], int64_t first,
                                            const Epilogue& epilogue, bool residual_aligned, T* y) {
  constexpr int kWidth = kPackWidth<T>;
  const PackRange whole(0, 0, kWidth, kWidth);
  if (epilogue.activation.kind != Activation::Kind::kIdentity) {
#pragma unroll
    for (int j = 0; j < kWidth; ++j) values[j] = activate(values[j], epilogue.activation);
  }
  if (epilogue.residual != nullptr) {
    float added[kWidth];
    load_pack(static_cast<const T*>(epilogue.residual) + first, whole, residual_aligned, added);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) values[j] += added[j];
    if (epilogue.residual_activation.kind != Activation::Kind::kIdentity) {
#pragma unroll
      for (int j = 0; j < kWidth; ++j) {
        values[j] = activate(values[j], epilogue.residual_activation);
      }
    }
  }
  store_pack(y + first, whole, true, values);
}

}  // namespace engine::cuda
