#include "layers/mean/mean_stages.h"

#include <algorithm>

namespace engine {
namespace {

// Neighbouring dimensions that are all reduced or all kept.
struct Group {
  int64_t size;
  bool reduced;
};

std::vector<Group> group_dims(const Shape& shape, const std::vector<bool>& reduced) {
  std::vector<Group> groups;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    if (!groups.empty() && groups.back().reduced == reduced[d]) {
      groups.back().size *= shape[d];
    } else {
      groups.push_back({shape[d], reduced[d]});
    }
  }
  return groups;
}

}  // namespace

std::vector<MeanStage> make_mean_stages(const Shape& shape, const std::vector<bool>& reduced) {
  const std::vector<Group> groups = group_dims(shape, reduced);
  int64_t outer = 1;
  for (const Group& group : groups) outer *= group.size;

  std::vector<MeanStage> stages;
  int64_t inner = 1;
  int64_t count = 1;
  // The innermost group first: it leaves the least for those after it.
  for (size_t g = groups.size(); g-- > 0;) {
    outer /= groups[g].size;
    if (!groups[g].reduced) {
      inner *= groups[g].size;
      continue;
    }
    count *= groups[g].size;
    int64_t size = groups[g].size;
    while (size > 1) {
      const int64_t longest = inner == 1 ? kMeanRowChunk : kMeanColumnChunk;
      stages.push_back({outer, size, inner, std::min(size, longest)});
      size = stages.back().chunks();
    }
  }
  if (stages.empty()) stages.push_back({1, 1, inner, 1});  // a mean of single elements
  stages.back().divisor = static_cast<float>(count);
  return stages;
}

}  // namespace engine
