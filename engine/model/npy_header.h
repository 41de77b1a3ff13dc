// The header of a .npy file: 6 bytes of magic, 2 of version, the length of a Python dict, the dict.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <string>
#include <string_view>

#include "engine/shape.h"

namespace engine {

struct NpyHeader {
  std::string descr;  ///< the element type: "<f4"
  bool fortran_order = false;
  Shape shape;
  size_t bytes = 0;  ///< of the header; the elements follow
};

/// Reads versions 1.0, 2.0 and 3.0. `name` is named in messages. Throws Error(kInvalidArgument).
NpyHeader parse_npy_header(std::string_view file, const std::string& name);

/// A version 1.0 header, padded so that the elements begin at a multiple of 64.
std::string format_npy_header(const std::string& descr, const Shape& shape);

}  // namespace engine
