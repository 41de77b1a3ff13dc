#include "engine/model/yaml_value.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/support/expect_error.h"

namespace engine {
namespace {

using Kind = YamlValue::Kind;

void expect_yaml_error(const std::string& text, const std::string& message) {
  CAPTURE(text);
  test::expect_error([&] { parse_yaml(text, "a.yaml"); }, ErrorKind::kModel, message);
}

YamlValue::Pointer value_of(const std::string& text) {
  return parse_yaml("key: " + text, "a.yaml")->find("key");
}

std::string place_of(const YamlValue& value) { return to_string(value.place); }

std::string nested_lists(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST_CASE("yaml: every value keeps its place, counted from one") {
  const auto root = parse_yaml(
      "format: 1\n"
      "layers:\n"
      "  - {name: stem, kernel_size: 3}\n"
      "  - name: 'norm'\n",
      "a.yaml");
  REQUIRE(root->kind == Kind::kMap);
  CHECK(place_of(*root) == "a.yaml:1:1");
  CHECK(place_of(*root->find("format")) == "a.yaml:1:9");
  const auto layers = root->find("layers");
  REQUIRE(layers->kind == Kind::kList);
  REQUIRE(layers->items.size() == 2);
  CHECK(place_of(*layers->items[0]) == "a.yaml:3:5");
  CHECK(to_string(layers->items[0]->entries[1].key_place) == "a.yaml:3:18");
  CHECK(place_of(*layers->items[0]->find("kernel_size")) == "a.yaml:3:31");
  CHECK(place_of(*layers->items[1]) == "a.yaml:4:5");
  CHECK(layers->items[1]->find("name")->text == "norm");
  CHECK(layers->items[1]->find("name")->quoted);
  CHECK_FALSE(layers->items[0]->find("name")->quoted);
  CHECK(root->find("labels") == nullptr);
}

TEST_CASE("yaml: a place without a line is the file alone") {
  CHECK(to_string(Place{"a.yaml", 0, 0}) == "a.yaml");
}

TEST_CASE("yaml: describe names kind and content") {
  CHECK(describe(*value_of("{a: 1}")) == "a map");
  CHECK(describe(*value_of("[1]")) == "a list");
  CHECK(describe(*value_of("")) == "nothing");
  CHECK(describe(*value_of("~")) == "nothing");
  CHECK(describe(*value_of("-1.50")) == "the number -1.50");
  CHECK(describe(*value_of("yes")) == "the boolean yes");
  CHECK(describe(*value_of("'3'")) == "the text '3'");
  CHECK(describe(*value_of("\"a\\nb\\e\"")) == "the text 'a\\nb\\x1b'");
  CHECK(describe(*value_of(std::string(59, 'a') + "\xc3\xa9")) ==
        "the text '" + std::string(59, 'a') + "...'");
}

TEST_CASE("yaml: integers") {
  CHECK(as_integer(*value_of("3")) == 3);
  CHECK(as_integer(*value_of("+3")) == 3);
  CHECK(as_integer(*value_of("-3")) == -3);
  CHECK(as_integer(*value_of("0")) == 0);
  CHECK(as_integer(*value_of("9223372036854775807")) == INT64_MAX);
  CHECK(as_integer(*value_of("-9223372036854775808")) == INT64_MIN);
  CHECK(as_integer(*value_of("!!int 3")) == 3);
  for (const char* text : {"3.0", "'3'", "!!str 3", "9223372036854775808", "010", "-01", "0x10",
                           "1_000", "+-3", "--3", "+", "-", "3 4", "[3]", "~", "three"}) {
    CAPTURE(text);
    CHECK_FALSE(as_integer(*value_of(text == std::string("-") ? "'-'" : text)));
  }
}

TEST_CASE("yaml: numbers") {
  CHECK(as_number(*value_of("3")) == 3.0);
  CHECK(as_number(*value_of("1e-5")) == 1e-5);
  CHECK(as_number(*value_of("1.0E-5")) == 1e-5);
  CHECK(as_number(*value_of("-.5")) == -0.5);
  CHECK(as_number(*value_of("+2.")) == 2.0);
  CHECK(std::isinf(*as_number(*value_of("1e400"))));
  for (const char* text : {"inf", "nan", ".inf", ".nan", "-inf", "'1.0'", ".", "1e", "1.0f", "1,5",
                           "+-1", "same", "[1]", "~"}) {
    CAPTURE(text);
    CHECK_FALSE(as_number(*value_of(text)));
  }
}

TEST_CASE("yaml: booleans") {
  for (const char* text : {"true", "True", "TRUE", "yes", "on"}) {
    CHECK(as_boolean(*value_of(text)) == true);
  }
  for (const char* text : {"false", "False", "FALSE", "no", "off"}) {
    CHECK(as_boolean(*value_of(text)) == false);
  }
  for (const char* text : {"'true'", "tRUE", "1", "y", "[true]", "~"}) {
    CHECK_FALSE(as_boolean(*value_of(text)));
  }
}

TEST_CASE("yaml: an empty document is null") {
  CHECK(parse_yaml("", "a.yaml")->kind == Kind::kNull);
  CHECK(parse_yaml("# nothing here\n", "a.yaml")->kind == Kind::kNull);
}

TEST_CASE("yaml: an alias repeats the anchor's value") {
  const auto root = parse_yaml("a: &wide {kernel_size: 9}\nb: *wide\n", "a.yaml");
  CHECK(root->find("b") == root->find("a"));
}

TEST_CASE("yaml: many aliases of aliases take no memory") {
  std::string text = "v0: &v0 [x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 40; ++i) {
    const std::string last = "*v" + std::to_string(i - 1);
    text += "v" + std::to_string(i) + ": &v" + std::to_string(i) + " [" + last;
    for (int k = 0; k < 7; ++k) text += ", " + last;
    text += "]\n";
  }
  CHECK(parse_yaml(text, "a.yaml")->entries.size() == 40);
}

TEST_CASE("yaml: nesting is limited") {
  CHECK(parse_yaml(nested_lists(64), "a.yaml")->kind == Kind::kList);
  expect_yaml_error(nested_lists(65),
                    "a.yaml:1:65: more than 64 levels of lists and maps in each other");
  const std::string half = nested_lists(40);
  expect_yaml_error("a: &a " + half + "\nb: [[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]\n",
                    "a.yaml:2:28: more than 64 levels of lists and maps in each other");
}

TEST_CASE("yaml: error messages") {
  expect_yaml_error("a: 1\nb: {a: 2, c: 3, a: 4}\n",
                    "a.yaml:2:17: key 'a' is given twice; it stands in line 2 already");
  expect_yaml_error("a: 1\n\n'a': 2\n",
                    "a.yaml:3:1: key 'a' is given twice; it stands in line 1 already");
  expect_yaml_error("[1]: 2\n", "a.yaml:1:1: a key must be a text, found a list");
  expect_yaml_error("~: 2\n", "a.yaml:1:1: a key must be a text, found nothing");
  expect_yaml_error("a: 1\n---\nb: 2\n",
                    "a.yaml:2:1: a second YAML document; expected one document in a file");
  expect_yaml_error("a: &a [*a]\n", "a.yaml:1:8: an alias inside the value that it repeats");
  expect_yaml_error("a: *b\n", "a.yaml:1:4: not valid YAML: the referenced anchor is not defined");
  expect_yaml_error("a: [1, 2\n", "a.yaml:2:1: not valid YAML: end of sequence flow not found");
  expect_yaml_error("a: 1\n b: 2\n", "a.yaml:2:3: not valid YAML: illegal map value");
}

TEST_CASE("yaml: a file that is not text") {
  expect_yaml_error(std::string("\x20\x00\x00\x00{}", 6),
                    "a.yaml: not a YAML map: byte 1 (line 1) is not UTF-8 text; expected a text "
                    "file");
  expect_yaml_error("a: 1\nb: \xff\xfe\n",
                    "a.yaml: not a YAML map: byte 8 (line 2) is not UTF-8 text; expected a text "
                    "file");
  for (const char* bad : {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3"}) {
    CHECK_THROWS_AS(parse_yaml(bad, "a.yaml"), Error);
  }
  CHECK(value_of("\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\xb5")->text ==
        "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\xb5");
}

}  // namespace
}  // namespace engine
