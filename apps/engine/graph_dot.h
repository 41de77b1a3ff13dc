// A graph for Graphviz.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/graph.h"

namespace engine::cli {

/// The graph in the DOT language: a box for each layer with its type, an arrow with its shape for
/// each value at these input shapes.
std::string graph_dot(const std::string& name, const Graph& graph,
                      const std::vector<Shape>& input_shapes);

}  // namespace engine::cli
