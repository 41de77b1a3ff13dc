// A whole model through the Eigen reference.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/engine/progress.h"
#include "engine/graph/graph.h"
#include "tests/reference/reference.h"

namespace engine::cli {

/// One value of a graph as the reference has it.
struct ReferenceValue {
  std::vector<double> data;
  bool is_known = true;  ///< false: the reference lacks the layer, and the CPU's result stands in
};

/// Every value of an unfused graph in double precision, node by node, each from the reference's own
/// values before. `cpu_values` has one tensor for each value of the graph, for layers that the
/// reference does not know. Throws Error.
std::vector<ReferenceValue> run_reference(const Graph& graph, const ModelSpec& spec,
                                          const std::vector<Tensor>& inputs,
                                          const std::vector<Tensor>& cpu_values,
                                          Progress& progress);

}  // namespace engine::cli
