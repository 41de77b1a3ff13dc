#include "tests/reference/reference.h"

#include <fmt/format.h>

#include "engine/error.h"
#include "tests/reference/families.h"

namespace engine::reference {
namespace {

template <typename Scalar>
const Table<Scalar>& all_types() {
  static const Table<Scalar> table = [] {
    Table<Scalar> filled;
    add_activations(filled);
    add_convolutions(filled);
    add_elementwise(filled);
    add_linear(filled);
    add_normalisations(filled);
    add_pooling(filled);
    add_resampling(filled);
    add_shape_operations(filled);
    return filled;
  }();
  return table;
}

}  // namespace

bool knows(const std::string& type) { return all_types<double>().count(type) > 0; }

template <typename Scalar>
std::vector<Value<Scalar>> evaluate(const std::string& type, const Attributes& attributes,
                                    const Parameters<Scalar>& parameters,
                                    const std::vector<Value<Scalar>>& inputs) {
  const auto found = all_types<Scalar>().find(type);
  if (found == all_types<Scalar>().end()) {
    throw Error(ErrorKind::kUnsupported, fmt::format("the reference has no layer type '{}'", type));
  }
  return found->second({attributes, parameters, inputs});
}

template std::vector<Value<double>> evaluate(const std::string&, const Attributes&,
                                             const Parameters<double>&,
                                             const std::vector<Value<double>>&);
template std::vector<Value<float>> evaluate(const std::string&, const Attributes&,
                                            const Parameters<float>&,
                                            const std::vector<Value<float>>&);

}  // namespace engine::reference
