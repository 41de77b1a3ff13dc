// What graphs/README.md says is what the code does.
#include <doctest/doctest.h>

#include "engine/layer.h"
#include "engine/model/model_spec.h"
#include "tests/support/expect_error.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

namespace engine {
namespace {

std::string readme() { return test::read_bytes(test::source_path("graphs/README.md").string()); }

// The first code block in that language.
std::string code_block(const std::string& text, const std::string& language) {
  const std::string fence = "\n```" + language + "\n";
  const size_t begin = text.find(fence) + fence.size();
  return text.substr(begin, text.find("```", begin) - begin);
}

TEST_CASE("graphs/README.md: the example is a model") {
  const ModelSpec spec = parse_model(code_block(readme(), "yaml"), "model.yaml");
  CHECK(spec.layers.size() == 4);
  CHECK(spec.labels == std::vector<std::string>{"yes", "no"});
}

TEST_CASE("graphs/README.md: the error message is the one that a misspelt key gives") {
  std::string text = code_block(readme(), "yaml");
  text.replace(text.find("kernel_size"), 11, "kernal_size");
  const std::string message = code_block(readme(), "text");
  test::expect_error(
      [&] {
        const LayerSpec layer = parse_model(text, "model.yaml").layers[0];
        LayerRegistry::global().create(layer.type, layer.attributes);
      },
      ErrorKind::kModel, message.substr(0, message.size() - 1));
}

TEST_CASE("graphs/README.md: every layer type stands in the table") {
  const std::string text = readme();
  const std::string table = text.substr(text.find("\n## Layers\n"));
  for (const std::string& type : LayerRegistry::global().types()) {
    if (type.starts_with("Test")) continue;  // another test's own
    CAPTURE(type);
    CHECK(table.find("`" + type + "`") != std::string::npos);
  }
}

}  // namespace
}  // namespace engine
