#include "apps/engine/text_format.h"

#include <doctest/doctest.h>

#include <sstream>

#include "apps/engine/table.h"

using namespace engine::cli;

TEST_CASE("si: three digits and a prefix") {
  CHECK(si(0, "B") == "0 B");
  CHECK(si(0, "") == "0");
  CHECK(si(12, "") == "12");
  CHECK(si(12345, "") == "12.3 k");
  CHECK(si(7, "B") == "7 B");
  CHECK(si(999, "B") == "999 B");
  CHECK(si(1000, "B") == "1.00 kB");
  CHECK(si(999499, "B") == "999 kB");
  CHECK(si(999500, "B") == "1.00 MB");
  CHECK(si(3.42e9, "FLOP") == "3.42 GFLOP");
  CHECK(si(99.96e6, "FLOP") == "100 MFLOP");
  CHECK(si(9.996e6, "FLOP") == "10.0 MFLOP");
  CHECK(si(1.5, "s") == "1.50 s");
  CHECK(si(0.0123, "s") == "12.3 ms");
  CHECK(si(4.5e-6, "s") == "4.50 us");
  CHECK(si(1e-12, "s") == "0.00 ns");
  CHECK(si(0.9999, "s") == "1.00 s");
}

TEST_CASE("grouped: digits in threes") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(1234567) == "1,234,567");
  CHECK(grouped(-123) == "-123");
  CHECK(grouped(-1234) == "-1,234");
}

TEST_CASE("rounded: three digits, never fewer than all before the point") {
  CHECK(rounded(0.126) == "0.13");
  CHECK(rounded(9.996) == "10.0");
  CHECK(rounded(99.96) == "100");
  CHECK(rounded(999.4) == "999");
  CHECK(rounded(12345.6) == "12,346");
}

TEST_CASE("Table: columns line up, whatever the script") {
  Table table({{"layer"}, {"n", Table::Align::kRight}});
  table.add_row({"größer", "5"});
  table.add_line();
  table.add_row({"b", "123"});
  CHECK(table.to_string() ==
        "layer     n\n"
        "------  ---\n"
        "größer    5\n"
        "------  ---\n"
        "b       123\n");
}

TEST_CASE("labelled_list: broken between items before column 98") {
  CHECK(labelled_list("dead layers", {"none"}) == "dead layers      none\n");
  const std::vector<std::string> names(20, "name_of_a_layer");
  std::istringstream text(labelled_list("fused", names));
  size_t found = 0;
  for (std::string line; std::getline(text, line);) {
    CHECK(line.size() <= 98);
    for (size_t at = 0; (at = line.find("name_of_a_layer", at)) != std::string::npos; ++at) ++found;
  }
  CHECK(found == names.size());
}
