// parse_yaml: the one place that knows yaml-cpp.
#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <unordered_map>

#include "engine/error.h"
#include "engine/model/text.h"
#include "engine/model/yaml_checks.h"
#include "engine/model/yaml_value.h"

namespace engine {
namespace {

// No model needs more; what recurses over values need not fear the stack.
constexpr size_t kMaxDepth = 64;

// Builds YamlValues from yaml-cpp's events. Aliases share the anchor's value, so that a document
// takes no more memory than its text accounts for.
class DocumentBuilder : public YAML::EventHandler {
 public:
  explicit DocumentBuilder(std::string file) : file_(std::move(file)) {}

  /// The document's value; kNull for an empty document.
  YamlValue::Pointer root() const { return root_ ? root_ : std::make_shared<YamlValue>(); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (root_) fail_at(place_of(mark), "a second YAML document; expected one document in a file");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    finish(make(YamlValue::Kind::kNull, mark), anchor, 1);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    auto value = make(YamlValue::Kind::kScalar, mark);
    value->text = text;
    value->quoted = tag == "!" || tag == "tag:yaml.org,2002:str";  // "!" is how quotes arrive
    finish(std::move(value), anchor, 1);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end())
      fail_at(place_of(mark), "an alias inside the value that it repeats");
    check_depth(found->second.height, place_of(mark));
    add(found->second.value, found->second.height);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(YamlValue::Kind::kList, mark), anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(YamlValue::Kind::kMap, mark), anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  // A list or map whose end has not been seen.
  struct Frame {
    std::shared_ptr<YamlValue> value;
    YAML::anchor_t anchor = 0;
    size_t height = 1;                           // levels of values in it, itself included
    std::optional<YamlValue::Entry> entry;       // kMap: a key that waits for its value
    std::unordered_map<std::string, int> lines;  // kMap: of the keys so far
  };
  struct Anchored {
    YamlValue::Pointer value;
    size_t height = 1;
  };

  Place place_of(const YAML::Mark& mark) const { return {file_, mark.line + 1, mark.column + 1}; }

  std::shared_ptr<YamlValue> make(YamlValue::Kind kind, const YAML::Mark& mark) const {
    auto value = std::make_shared<YamlValue>();
    value->kind = kind;
    value->place = place_of(mark);
    return value;
  }

  void check_depth(size_t height, const Place& place) const {
    if (open_.size() + height <= kMaxDepth) return;
    fail_at(place, fmt::format("more than {} levels of lists and maps in each other", kMaxDepth));
  }

  void open(std::shared_ptr<YamlValue> value, YAML::anchor_t anchor) {
    check_depth(1, value->place);
    open_.push_back({std::move(value), anchor, 1, std::nullopt, {}});
  }

  void close() {
    Frame frame = std::move(open_.back());
    open_.pop_back();
    finish(std::move(frame.value), frame.anchor, frame.height);
  }

  void finish(YamlValue::Pointer value, YAML::anchor_t anchor, size_t height) {
    if (anchor != 0) anchors_[anchor] = {value, height};
    add(std::move(value), height);
  }

  // Puts a value where it belongs: the document, a list, or a map as key or as value.
  void add(YamlValue::Pointer value, size_t height) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    Frame& frame = open_.back();
    frame.height = std::max(frame.height, height + 1);
    if (frame.value->kind == YamlValue::Kind::kList) {
      frame.value->items.push_back(std::move(value));
    } else if (!frame.entry) {
      add_key(frame, *value);
    } else {
      frame.entry->value = std::move(value);
      frame.value->entries.push_back(std::move(*frame.entry));
      frame.entry.reset();
    }
  }

  static void add_key(Frame& frame, const YamlValue& key) {
    if (key.kind != YamlValue::Kind::kScalar) {
      fail_at(key.place, fmt::format("a key must be a text, found {}", describe(key)));
    }
    const auto [seen, is_new] = frame.lines.emplace(key.text, key.place.line);
    if (!is_new) {
      fail_at(key.place, fmt::format("key {} is given twice; it stands in line {} already",
                                     in_quotes(key.text), seen->second));
    }
    frame.entry = YamlValue::Entry{key.text, key.place, nullptr};
  }

  std::string file_;
  YamlValue::Pointer root_;
  std::vector<Frame> open_;
  std::map<YAML::anchor_t, Anchored> anchors_;
};

// A model file is a text; a weight file or an image given in its place is caught here.
void check_is_text(const std::string& text, const std::string& file) {
  const size_t bad = first_non_text_byte(text);
  if (bad == std::string::npos) return;
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<int64_t>(bad), '\n');
  throw Error(ErrorKind::kModel,
              fmt::format("{}: not a YAML map: byte {} (line {}) is not UTF-8 text; expected a "
                          "text file",
                          file, bad, line));
}

}  // namespace

YamlValue::Pointer parse_yaml(const std::string& text, const std::string& file) {
  check_is_text(text, file);
  DocumentBuilder builder(file);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    const bool has_place = !error.mark.is_null();
    fail_at(has_place ? Place{file, error.mark.line + 1, error.mark.column + 1} : Place{file},
            fmt::format("not valid YAML: {}", error.msg));
  }
  return builder.root();
}

}  // namespace engine
