#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <vector>

#include "engine/layer.h"
#include "tests/support/expect_error.h"
#include "tests/support/gpu.h"
#include "tests/support/layer_check.h"
#include "tests/support/run_layer.h"

namespace engine::test {
namespace {

TEST_CASE("Embedding of swept shapes") {
  uint64_t seed = 1;
  for (const DType dtype : {DType::kI32, DType::kI64}) {
    for (const Shape& shape : {Shape{1}, Shape{7}, Shape{2, 9}, Shape{2, 3, 4}, Shape{1, 70001}}) {
      check_layer(
          {"Embedding", "{num_embeddings: 10, embedding_dim: 3}", {{shape, dtype}}, seed++, 10});
      check_layer(
          {"Embedding", "{num_embeddings: 10, embedding_dim: 16}", {{shape, dtype}}, seed++, 10});
    }
    check_layer({"Embedding", "{num_embeddings: 1, embedding_dim: 1}", {{{5}, dtype}}, seed++, 1});
  }
}

std::unique_ptr<Layer> embedding_of_two_rows() {
  auto layer = LayerRegistry::global().create(
      "Embedding", Attributes::parse("{num_embeddings: 2, embedding_dim: 2}"));
  static float weight[] = {1.0f, 2.0f, 3.0f, 4.0f};
  layer->set_parameters({{"weight", Tensor::wrap(weight, {2, 2})}});
  return layer;
}

TEST_CASE("Embedding on the CPU names an index outside the table") {
  if (!uses_cpu()) return;
  const auto layer = embedding_of_two_rows();
  int64_t indices[] = {1, 0, 2};
  expect_error([&] { run_layer(*layer, {Tensor::wrap(indices, {3})}, {Device::cpu()}); },
               ErrorKind::kInvalidArgument, "index 2 at position 2 is outside the 2 embeddings");
  indices[0] = -1;
  expect_error([&] { run_layer(*layer, {Tensor::wrap(indices, {3})}, {Device::cpu()}); },
               ErrorKind::kInvalidArgument, "index -1 at position 0 is outside the 2 embeddings");
}

TEST_CASE("Embedding on the GPU gives NaN for an index outside the table") {
  if (!has_gpu()) return;
  const auto layer = embedding_of_two_rows();
  int32_t indices[] = {1, -1, 0, 2};
  const Tensor output = run_layer(*layer, {Tensor::wrap(indices, {4})}, {Device::cuda()}).front();
  const float* rows = output.data<float>();
  CHECK(rows[0] == 3.0f);
  CHECK(rows[1] == 4.0f);
  CHECK(std::isnan(rows[2]));
  CHECK(std::isnan(rows[3]));
  CHECK(rows[4] == 1.0f);
  CHECK(rows[5] == 2.0f);
  CHECK(std::isnan(rows[6]));
  CHECK(std::isnan(rows[7]));
}

TEST_CASE("Embedding rejects what it cannot take") {
  check_layer_error({"Embedding", "{num_embeddings: 2, embedding_dim: 2}", {{{3}}}},
                    "expected i32 or i64 indices, found f32 [3]");
  check_layer_error({"Embedding", "{num_embeddings: 0, embedding_dim: 2}", {{{3}, DType::kI64}}},
                    "num_embeddings");
  check_layer_error({"Embedding", "{num_embeddings: 2}", {{{3}, DType::kI64}}}, "embedding_dim");
}

}  // namespace
}  // namespace engine::test
