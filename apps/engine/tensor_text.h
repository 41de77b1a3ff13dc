// What a model gave, as text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace engine::cli {

/// One element of a CPU tensor of any dtype, by its flat index.
double element(const Tensor& tensor, int64_t index);

/// "scores f32 [1, 23]: min ..., max ..., mean ...; first -0.5, 2, ...".
std::string summary(const std::string& name, const Tensor& tensor);

/// Whether scores over classes are probabilities: none negative, a sum within 0.001 of 1.
bool are_probabilities(const std::vector<double>& scores);

std::vector<double> softmax(std::vector<double> scores);

/// The `top` most probable labels for each row along the last dimension of the output `name`, most
/// probable first. Where any row holds no probabilities, all go through softmax, and the text says
/// so. Throws Error(kInvalidArgument) where the last dimension is not one of the labels.
std::string top_labels(const std::string& name, const Tensor& output,
                       const std::vector<std::string>& labels, int64_t top);

}  // namespace engine::cli
