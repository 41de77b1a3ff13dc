// Suggestions for mistyped names.
#pragma once

#include <string>
#include <vector>

namespace engine {

/// "; did you mean 'Conv1d'?" for the candidate nearest to `name` by edit distance, or "" where
/// none is near (more than a third of the letters differ).
std::string did_you_mean(const std::string& name, const std::vector<std::string>& candidates);

}  // namespace engine
