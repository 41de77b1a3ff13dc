// ENGINE_HOST_DEVICE: inline functions that CPU loops and GPU kernels share.
#pragma once

#ifdef __CUDACC__
#define ENGINE_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define ENGINE_HOST_DEVICE inline
#endif
