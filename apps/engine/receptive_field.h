// How much of the input each value of a graph depends on.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/graph/graph.h"

namespace engine::cli {

/// For each value of the graph, the input samples along the length that one position of it sees;
/// nothing where it sees the whole signal. Where branches meet, the widest counts.
std::vector<std::optional<int64_t>> receptive_fields(const Graph& graph);

}  // namespace engine::cli
