// Graph: the layers of a model as nodes over values, in the order they run.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/layer.h"
#include "engine/model/model_spec.h"
#include "engine/model/weight_file.h"

namespace engine {

/// Something computed once and read any number of times; referred to by index into Graph::values.
struct Value {
  std::string name;    ///< the input's or layer's name; "split:1" for a further output
  TensorSpec typical;  ///< at the model's typical sizes
};

struct Node {
  std::string name;
  std::string type;
  Place place;
  std::shared_ptr<Layer> layer;
  std::vector<int> inputs;   ///< values
  std::vector<int> outputs;  ///< values
};

struct GraphInput {
  InputSpec spec;
  int value = 0;
};

struct GraphOutput {
  std::string name;
  int value = 0;
};

struct Graph {
  std::vector<Value> values;
  std::vector<Node> nodes;  ///< every node after those it reads from
  std::vector<GraphInput> inputs;
  std::vector<GraphOutput> outputs;
};

/// Builds every layer through the registry and infers all shapes at the typical sizes. Throws
/// Error(kModel) that names the layer and its place.
Graph build_graph(const ModelSpec& spec, const LayerRegistry& registry);

/// Shapes (in logical dtypes: floats are f32) of all values for concrete input shapes. Throws
/// Error(kInvalidArgument) that names the layer and its place.
std::vector<TensorSpec> infer_values(const Graph& graph, const std::vector<Shape>& input_shapes);

/// Checks concrete input shapes against the declared ones: rank, fixed sizes, names that stand for
/// one number in all inputs. Throws Error(kInvalidArgument).
void check_input_shapes(const Graph& graph, const std::vector<Shape>& input_shapes);

/// The declared shapes with typical sizes in place of names: `sizes` of the model file; else a
/// second where the sample rate is known; else 1 for the first size and the largest power of two
/// up to 65,536 that the model can take for others.
std::vector<Shape> typical_shapes(const ModelSpec& spec, const LayerRegistry& registry);

/// Gives every layer its parameters out of `weights`. Throws Error(kWeights) for one that is
/// missing or has another shape.
void load_parameters(Graph& graph, const WeightFile& weights);

/// Random parameters as PyTorch would initialise them, named as in a weight file. The same seed
/// gives the same numbers everywhere.
std::map<std::string, Tensor> random_parameters(const Graph& graph, uint64_t seed);

}  // namespace engine
