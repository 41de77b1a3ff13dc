// Inputs for measuring and comparing.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/tensor.h"

namespace engine::cli {

/// CPU tensors for the graph's inputs: floats uniform with a mean of 0 and a variance of 1,
/// integers uniform from 0 up to what the Embeddings that read them can look up (or to 1 without
/// any). The same seed gives the same numbers.
std::vector<Tensor> random_inputs(const Graph& graph, const std::vector<Shape>& shapes,
                                  uint64_t seed);

}  // namespace engine::cli
