#include "engine/model/layer_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "engine/error.h"
#include "engine/model/text.h"

namespace engine {
namespace {

// For each layer, the layers that it reads from (each as often as it does).
std::vector<std::vector<size_t>> find_sources(const std::vector<LayerSpec>& layers) {
  std::unordered_map<std::string, size_t> index;
  for (size_t i = 0; i < layers.size(); ++i) index[layers[i].name] = i;
  std::vector<std::vector<size_t>> sources(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    for (const ValueRef& input : layers[i].inputs) {
      const auto found = index.find(input.name.substr(0, input.name.find(':')));
      if (found != index.end()) sources[i].push_back(found->second);
    }
  }
  return sources;
}

// `waits[i]` is the number of inputs that layer i still lacks, so every layer with any has a source
// with any: walking from source to source must come back to a layer seen before.
[[noreturn]] void fail_with_cycle(const std::vector<LayerSpec>& layers,
                                  const std::vector<std::vector<size_t>>& sources,
                                  const std::vector<size_t>& waits) {
  const auto waiting = [&](size_t i) { return waits[i] > 0; };
  size_t at = 0;
  while (!waiting(at)) ++at;
  std::vector<size_t> path;
  while (std::find(path.begin(), path.end(), at) == path.end()) {
    path.push_back(at);
    at = *std::find_if(sources[at].begin(), sources[at].end(), waiting);
  }
  path.erase(path.begin(), std::find(path.begin(), path.end(), at));
  std::reverse(path.begin(), path.end());  // as the data would flow
  std::rotate(path.begin(), std::min_element(path.begin(), path.end()), path.end());
  std::string names;
  for (const size_t i : path) names += in_quotes(layers[i].name) + " -> ";
  const LayerSpec& first = layers[path.front()];
  throw Error(ErrorKind::kModel,
              fmt::format("{}: layers form a cycle: {}{}; a layer cannot read what is computed "
                          "from its own output",
                          to_string(first.place), names, in_quotes(first.name)));
}

}  // namespace

void order_layers(std::vector<LayerSpec>& layers) {
  const std::vector<std::vector<size_t>> sources = find_sources(layers);
  std::vector<std::vector<size_t>> readers(layers.size());
  std::vector<size_t> waits(layers.size());
  std::set<size_t> ready;
  for (size_t i = 0; i < layers.size(); ++i) {
    waits[i] = sources[i].size();
    for (const size_t source : sources[i]) readers[source].push_back(i);
    if (waits[i] == 0) ready.insert(i);
  }
  std::vector<LayerSpec> ordered;
  while (!ready.empty()) {
    const size_t next = *ready.begin();
    ready.erase(ready.begin());
    for (const size_t reader : readers[next]) {
      if (--waits[reader] == 0) ready.insert(reader);
    }
    ordered.push_back(layers[next]);
  }
  if (ordered.size() < layers.size()) fail_with_cycle(layers, sources, waits);
  layers = std::move(ordered);
}

}  // namespace engine
