#include "apps/engine/tensor_text.h"

#include <doctest/doctest.h>

#include <cmath>

#include "apps/engine/difference.h"
#include "tests/support/expect_error.h"

using namespace engine;

TEST_CASE("are_probabilities: none negative, and a sum of 1") {
  CHECK(cli::are_probabilities({0.25, 0.7495, 0.0}));
  CHECK_FALSE(cli::are_probabilities({0.25, 0.25}));
  CHECK_FALSE(cli::are_probabilities({-0.5, 1.5}));
}

TEST_CASE("softmax: ratios are exponentials of differences, whatever the size") {
  for (const double offset : {-1000.0, 0.0, 1000.0}) {
    const std::vector<double> found = cli::softmax({offset, offset + 2.0});
    CHECK(found[0] + found[1] == doctest::Approx(1.0));
    CHECK(std::log(found[1] / found[0]) == doctest::Approx(2.0));
  }
}

TEST_CASE("top_labels: the most probable first, no more than there are") {
  float scores[] = {0.25f, 0.5f, 0.25f};
  const std::string text = cli::top_labels("p", Tensor::wrap(scores, {1, 3}), {"a", "b", "c"}, 2);
  CHECK(text ==
        "label  probability\n"
        "-----  -----------\n"
        "b          50.00 %\n"
        "a          25.00 %\n");
  const std::string all = cli::top_labels("p", Tensor::wrap(scores, {3}), {"a", "b", "c"}, 9);
  CHECK(all.ends_with("c          25.00 %\n"));
}

TEST_CASE("top_labels: every row has its place; one row without probabilities is softmax for all") {
  float scores[] = {0.0f, 1.0f, -3.0f, 3.0f};
  const std::string text =
      cli::top_labels("logits", Tensor::wrap(scores, {1, 2, 2}), {"a", "b"}, 1);
  CHECK(text ==
        "logits [0, 0, :]\n"
        "label  probability\n"
        "-----  -----------\n"
        "b          73.11 %\n"
        "\n"
        "logits [0, 1, :]\n"
        "label  probability\n"
        "-----  -----------\n"
        "b          99.75 %\n"
        "(softmax of 'logits')\n");
}

TEST_CASE("top_labels: another number of classes than labels is refused") {
  float scores[] = {0.0f, 1.0f, 2.0f, 3.0f};
  test::expect_error(
      [&] {
        cli::top_labels("y", Tensor::wrap(scores, {1, 4}), {"a", "b"}, 1);
      },
      ErrorKind::kInvalidArgument,
      "output 'y' has shape [1, 4]; expected a last size of 2, one for each label, as at the "
      "model's typical input sizes");
}

TEST_CASE("summary: shape, range, mean and the first values") {
  float few[] = {1.0f, -2.0f};
  CHECK(cli::summary("y", Tensor::wrap(few, {2})) ==
        "y f32 [2]: min -2, max 1, mean -0.5; first 1, -2\n");
  int64_t many[] = {1, 2, 3, 4, 5, 6, 7};
  CHECK(cli::summary("n", Tensor::wrap(many, {7})) ==
        "n i64 [7]: min 1, max 7, mean 4; first 1, 2, 3, 4, 5, 6, ...\n");
}

TEST_CASE("difference: largest error, and L2 relative to the exact values") {
  float found[] = {1.0f, 2.5f, 0.0f};
  const cli::Difference some = cli::difference(Tensor::wrap(found, {3}), {1.0, 2.0, 0.0});
  CHECK(some.max_abs == 0.5);
  CHECK(some.relative_l2 == doctest::Approx(0.5 / std::sqrt(5.0)));
  const cli::Difference none = cli::difference(Tensor::wrap(found, {3}), {1.0, 2.5, 0.0});
  CHECK(none.max_abs == 0.0);
  CHECK(none.relative_l2 == 0.0);
}

TEST_CASE("difference: values that are not finite agree only with their like") {
  float found[] = {INFINITY, NAN, 1.0f};
  const Tensor tensor = Tensor::wrap(found, {3});
  CHECK(cli::difference(tensor, {INFINITY, NAN, 1.0}).max_abs == 0.0);
  CHECK(cli::difference(tensor, {-INFINITY, NAN, 1.0}).relative_l2 == INFINITY);
  CHECK(cli::difference(tensor, {INFINITY, 0.0, 1.0}).relative_l2 == INFINITY);
  CHECK(cli::difference(tensor, {INFINITY, NAN, INFINITY}).relative_l2 == INFINITY);
}
