#include "engine/attributes.h"

#include <doctest/doctest.h>

#include "engine/model/yaml_value.h"
#include "tests/support/expect_error.h"

namespace engine {
namespace {

// The attributes of a layer as a model file gives them.
Attributes stem(const std::string& keys) {
  return {"stem", parse_yaml("{type: Conv1d, " + keys + "}", "a.yaml")};
}

template <typename Call>
void expect_attribute_error(const std::string& keys, const Call& call, const std::string& message) {
  CAPTURE(keys);
  const Attributes attributes = stem(keys);
  test::expect_error([&] { call(attributes); }, ErrorKind::kModel, message);
}

TEST_CASE("attributes: values of every type") {
  const Attributes a = Attributes::parse(
      "{stride: 2, shift: -1, eps: 1e-5, scale: 3, bias: no, sizes: [1, 2], mode: linear}");
  CHECK(a.layer().empty());
  CHECK(a.integer("stride") == 2);
  CHECK(a.integer("shift", 7) == -1);
  CHECK(a.positive("stride") == 2);
  CHECK(a.positive("stride", 1) == 2);
  CHECK(a.optional_positive("stride") == 2);
  CHECK(a.non_negative("stride", 0) == 2);
  CHECK(a.number("eps") == 1e-5);
  CHECK(a.number("scale", 1.0) == 3.0);
  CHECK_FALSE(a.boolean("bias", true));
  CHECK(a.integers("sizes") == std::vector<int64_t>{1, 2});
  CHECK(a.integers("stride") == std::vector<int64_t>{2});
  CHECK(a.choice("mode", {"nearest", "linear"}, "nearest") == "linear");
  a.reject_unused();
}

TEST_CASE("attributes: fallbacks where a key is absent") {
  const Attributes a = Attributes::parse("{}");
  CHECK(a.integer("a", -4) == -4);
  CHECK(a.positive("a", 4) == 4);
  CHECK_FALSE(a.optional_positive("a"));
  CHECK(a.non_negative("a", 0) == 0);
  CHECK(a.number("a", 0.5) == 0.5);
  CHECK(a.boolean("a", true));
  CHECK(a.choice("a", {"x", "y"}, "y") == "y");
  CHECK_FALSE(a.has("a"));
  CHECK_FALSE(a.is_text("a"));
  CHECK_FALSE(a.is_list("a"));
}

TEST_CASE("attributes: what a key holds can be asked") {
  const Attributes a = Attributes::parse("{n: 3, x: 1.5, s: same, q: '3', l: [1]}");
  CHECK(a.has("n"));
  CHECK_FALSE(a.is_text("n"));
  CHECK_FALSE(a.is_text("x"));
  CHECK(a.is_text("s"));
  CHECK(a.is_text("q"));
  CHECK_FALSE(a.is_text("l"));
  CHECK(a.is_list("l"));
  CHECK_FALSE(a.is_list("n"));
  a.reject_unused();
}

TEST_CASE("attributes: error messages of wrong types") {
  expect_attribute_error(
      "kernel_size: three", [](const Attributes& a) { a.positive("kernel_size"); },
      "a.yaml:1:29: layer 'stem' (Conv1d): 'kernel_size' must be an integer, found the text "
      "'three'");
  expect_attribute_error(
      "kernel_size: 3.0", [](const Attributes& a) { a.integer("kernel_size"); },
      "a.yaml:1:29: layer 'stem' (Conv1d): 'kernel_size' must be an integer, found the number 3.0");
  expect_attribute_error(
      "kernel_size: 9223372036854775808", [](const Attributes& a) { a.integer("kernel_size"); },
      "a.yaml:1:29: layer 'stem' (Conv1d): 'kernel_size' must be an integer of at most 64 bits, "
      "found the number 9223372036854775808");
  expect_attribute_error(
      "kernel_size:", [](const Attributes& a) { a.optional_positive("kernel_size"); },
      "a.yaml:1:28: layer 'stem' (Conv1d): 'kernel_size' must be an integer, found nothing");
  expect_attribute_error(
      "padding: [1, same]", [](const Attributes& a) { a.integers("padding"); },
      "a.yaml:1:29: layer 'stem' (Conv1d): 'padding' must be a list of integers, found the text "
      "'same'");
  expect_attribute_error(
      "padding: same", [](const Attributes& a) { a.integers("padding"); },
      "a.yaml:1:25: layer 'stem' (Conv1d): 'padding' must be an integer, found the text 'same'");
  expect_attribute_error(
      "eps: small", [](const Attributes& a) { a.number("eps", 1e-5); },
      "a.yaml:1:21: layer 'stem' (Conv1d): 'eps' must be a number, found the text 'small'");
  expect_attribute_error(
      "eps: 1e999", [](const Attributes& a) { a.number("eps"); },
      "a.yaml:1:21: layer 'stem' (Conv1d): 'eps' must be a finite number, found the number 1e999");
  expect_attribute_error(
      "bias: 'true'", [](const Attributes& a) { a.boolean("bias", true); },
      "a.yaml:1:22: layer 'stem' (Conv1d): 'bias' must be true or false, found the text 'true'");
}

TEST_CASE("attributes: error messages of ranges and choices") {
  expect_attribute_error(
      "kernel_size: -3", [](const Attributes& a) { a.positive("kernel_size"); },
      "a.yaml:1:29: layer 'stem' (Conv1d): 'kernel_size' must be at least 1, found -3");
  expect_attribute_error(
      "stride: 0", [](const Attributes& a) { a.positive("stride", 1); },
      "a.yaml:1:24: layer 'stem' (Conv1d): 'stride' must be at least 1, found 0");
  expect_attribute_error(
      "padding: -1", [](const Attributes& a) { a.non_negative("padding", 0); },
      "a.yaml:1:25: layer 'stem' (Conv1d): 'padding' must be at least 0, found -1");
  expect_attribute_error(
      "padding_mode: zero",
      [](const Attributes& a) {
        a.choice("padding_mode", {"zeros", "reflect", "replicate", "circular"}, "zeros");
      },
      "a.yaml:1:30: layer 'stem' (Conv1d): 'padding_mode' must be one of zeros, reflect, "
      "replicate, circular, found the text 'zero'; did you mean 'zeros'?");
  expect_attribute_error(
      "padding_mode: 3", [](const Attributes& a) { a.choice("padding_mode", {"zeros"}, "zeros"); },
      "a.yaml:1:30: layer 'stem' (Conv1d): 'padding_mode' must be one of zeros, found the number "
      "3");
}

TEST_CASE("attributes: error messages of keys") {
  expect_attribute_error(
      "stride: 1", [](const Attributes& a) { a.positive("kernel_size"); },
      "a.yaml:1:1: layer 'stem' (Conv1d): missing key 'kernel_size'");
  expect_attribute_error(
      "kernal_size: 3", [](const Attributes& a) { a.positive("kernel_size"); },
      "a.yaml:1:16: layer 'stem' (Conv1d): missing key 'kernel_size', found 'kernal_size'; did you "
      "mean 'kernel_size'?");
  expect_attribute_error(
      "strides: 2",
      [](const Attributes& a) {
        a.allow({"type"});
        a.positive("stride", 1);
        a.boolean("bias", true);
        a.reject_unused();
      },
      "a.yaml:1:16: layer 'stem' (Conv1d): unknown key 'strides'; did you mean 'stride'?; known "
      "keys: type, stride, bias");
}

TEST_CASE("attributes: fail points at the key, or at the layer") {
  expect_attribute_error(
      "groups: 3", [](const Attributes& a) { a.fail("groups", "must divide 8"); },
      "a.yaml:1:24: layer 'stem' (Conv1d): must divide 8");
  expect_attribute_error(
      "stride: 3", [](const Attributes& a) { a.fail("groups", "must divide 8"); },
      "a.yaml:1:1: layer 'stem' (Conv1d): must divide 8");
}

TEST_CASE("attributes: anything but a map is rejected") {
  test::expect_error([] { Attributes::parse("[1, 2]"); }, ErrorKind::kModel,
                     "attributes:1:1: attributes must be a map, found a list");
}

}  // namespace
}  // namespace engine
