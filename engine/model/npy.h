// NumPy's .npy and .npz files.
#pragma once

#include <map>
#include <string>

#include "engine/tensor.h"

namespace engine {

/// Reads a little-endian, C- or Fortran-ordered .npy of f2, f4, f8, i2, i4, i8, u1 or bool (f8
/// becomes f32; i2, u1 and bool become i32). Throws Error(kIo) or Error(kInvalidArgument).
Tensor read_npy(const std::string& path);

/// Reads every member of an uncompressed .npz (numpy.savez), by name without ".npy". A compressed
/// one is an Error(kUnsupported) that says to use numpy.savez.
std::map<std::string, Tensor> read_npz(const std::string& path);

/// Writes a tensor as version 1.0 .npy (bf16 as f4), atomically. Throws Error(kIo).
void write_npy(const std::string& path, const Tensor& tensor);

/// Writes each tensor as the member of its name with ".npy" added, uncompressed, atomically. Throws
/// Error(kIo).
void write_npz(const std::string& path, const std::map<std::string, Tensor>& tensors);

}  // namespace engine
