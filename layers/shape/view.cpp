// Flatten, Reshape and Identity: the input's memory under another shape.
#include <fmt/format.h>

#include <algorithm>

#include "engine/error.h"
#include "engine/layer.h"
#include "layers/shape/dim.h"

namespace engine {
namespace {

class ViewLayer : public Layer {
 public:
  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    return {{view(inputs[0].shape), inputs[0].dtype}};
  }

  Step prepare(const PrepareContext&) const override {
    return {"view", "", 0, [](const StepContext&) {}};
  }

  bool is_view() const override { return true; }

 private:
  virtual Shape view(const Shape& shape) const = 0;
};

class Identity : public ViewLayer {
 public:
  explicit Identity(const Attributes&) {}

 private:
  Shape view(const Shape& shape) const override { return shape; }
};

/// Joins dimensions start_dim to end_dim into one (torch.nn.Flatten).
class Flatten : public ViewLayer {
 public:
  explicit Flatten(const Attributes& attributes)
      : start_dim_(attributes.integer("start_dim", 1)),
        end_dim_(attributes.integer("end_dim", -1)) {}

  // Positions of the output are no longer positions along the length.
  std::optional<Reach> reach() const override { return std::nullopt; }

 private:
  Shape view(const Shape& shape) const override {
    const size_t start = resolve_dim(start_dim_, shape);
    const size_t end = resolve_dim(end_dim_, shape) + 1;
    if (end <= start) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("start_dim {} comes after end_dim {} of {}", start_dim_, end_dim_,
                              to_string(shape)));
    }
    Shape flat(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(start));
    flat.push_back(product(shape, start, end));
    flat.insert(flat.end(), shape.begin() + static_cast<std::ptrdiff_t>(end), shape.end());
    return flat;
  }

  int64_t start_dim_;
  int64_t end_dim_;
};

/// Another shape with as many elements: -1 stands for what remains, 0 for the input's size there.
class Reshape : public ViewLayer {
 public:
  explicit Reshape(const Attributes& attributes) : shape_(attributes.integers("shape")) {
    if (std::count(shape_.begin(), shape_.end(), -1) > 1) {
      attributes.fail("shape", "expected at most one -1");
    }
    for (const int64_t size : shape_) {
      if (size < -1) attributes.fail("shape", fmt::format("expected sizes >= -1, found {}", size));
    }
  }

  std::optional<Reach> reach() const override { return std::nullopt; }

 private:
  Shape view(const Shape& shape) const override {
    Shape result = shape_;
    int64_t* remaining = nullptr;
    int64_t known = 1;
    for (size_t d = 0; d < result.size(); ++d) {
      if (result[d] == 0) result[d] = shape[resolve_dim(static_cast<int64_t>(d), shape)];
      if (result[d] == -1) {
        remaining = &result[d];
      } else {
        known = element_count({known, result[d]});
      }
    }
    const int64_t elements = element_count(shape);
    if (remaining && known > 0 && elements % known == 0) {
      *remaining = elements / known;
      return result;
    }
    if (!remaining && known == elements) return result;
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("an input {} of {} elements does not reshape to {}", to_string(shape),
                            elements, to_string(shape_)));
  }

  std::vector<int64_t> shape_;
};

}  // namespace

void register_views(LayerRegistry& registry) {
  registry.add<Identity>("Identity");
  registry.add<Flatten>("Flatten");
  registry.add<Reshape>("Reshape");
}

}  // namespace engine
