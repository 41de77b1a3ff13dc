// Conversion of whole arrays between element types.
#pragma once

#include <cstdint>

#include "engine/dtype.h"

namespace engine {

/// Converts `count` elements; floats to floats (rounding to nearest even) or integers to integers.
void convert_elements(const void* source, DType source_dtype, void* target, DType target_dtype,
                      int64_t count);

}  // namespace engine
