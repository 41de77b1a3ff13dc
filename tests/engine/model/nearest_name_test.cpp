#include "engine/model/nearest_name.h"

#include <doctest/doctest.h>

namespace engine {
namespace {

const std::vector<std::string> kLayers = {"Conv1d", "ConvTranspose1d", "ReLU", "LeakyReLU", "Add"};

TEST_CASE("nearest name: one typing mistake") {
  CHECK(did_you_mean("Conv2d", kLayers) == "; did you mean 'Conv1d'?");
  CHECK(did_you_mean("Con1d", kLayers) == "; did you mean 'Conv1d'?");
  CHECK(did_you_mean("Convv1d", kLayers) == "; did you mean 'Conv1d'?");
  CHECK(did_you_mean("Covn1d", kLayers) == "; did you mean 'Conv1d'?");
  CHECK(did_you_mean("relu", kLayers) == "; did you mean 'ReLU'?");
  CHECK(did_you_mean("Adn", kLayers) == "; did you mean 'Add'?");
}

TEST_CASE("nearest name: a swap counts once, so that short names are found") {
  CHECK(did_you_mean("nmae", {"name", "type"}) == "; did you mean 'name'?");
  CHECK(did_you_mean("atc", {"act", "stem"}) == "; did you mean 'act'?");
}

TEST_CASE("nearest name: the nearest of several") {
  CHECK(did_you_mean("LeakyReLu6", {"ReLU", "LeakyReLU", "LeakyReLU66"}) ==
        "; did you mean 'LeakyReLU'?");
}

TEST_CASE("nearest name: nothing where none is near") {
  CHECK(did_you_mean("Dropout", kLayers).empty());
  CHECK(did_you_mean("xyz", kLayers).empty());
  CHECK(did_you_mean("", kLayers).empty());
  CHECK(did_you_mean("Add", {}).empty());
}

}  // namespace
}  // namespace engine
