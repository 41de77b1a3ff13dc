// Passes: rewrites of a graph that change nothing it computes beyond rounding.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/graph.h"

namespace engine {

/// Removes layers that no output depends on; returns their names.
std::vector<std::string> remove_dead_layers(Graph& graph);

/// Folds per-channel affine layers (batch norms) into the weights of the layer before them where
/// nothing else reads that layer. Needs loaded parameters. Returns "norm into conv" texts.
std::vector<std::string> fold_affine_layers(Graph& graph);

/// Lets a layer apply the pointwise function that follows it, where nothing else reads that layer.
/// Returns "relu into conv" texts.
std::vector<std::string> fuse_activations(Graph& graph);

/// Lets a layer add the other input of the two-input sum that alone reads it, where both have one
/// shape; of two layers that could, the later one. It then runs in the sum's place, where both
/// inputs are ready. Returns "add into conv" texts.
std::vector<std::string> fuse_residuals(Graph& graph);

/// Joins elementwise layers whose results only the next one reads, all of one shape, so that they
/// run in one pass over tiles that stay in the cache (elementwise_chain.h), in place of the last
/// one. For the CPU. Returns "relu into add" texts.
std::vector<std::string> fuse_elementwise(Graph& graph);

}  // namespace engine
