// The instruction sets that this library's vector code is compiled for; to be included before
// Highway. Vectors must have a known size to be held in arrays; what AVX3_DL and SSSE3 add is not
// used here.
#pragma once

#define HWY_DISABLED_TARGETS \
  (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV | HWY_SSSE3 | HWY_AVX3_DL)
