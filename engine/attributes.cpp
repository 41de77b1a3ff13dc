#include "engine/attributes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "engine/model/nearest_name.h"
#include "engine/model/text.h"
#include "engine/model/yaml_checks.h"
#include "engine/model/yaml_value.h"

namespace engine {
namespace {

using Kind = YamlValue::Kind;

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

struct Attributes::State {
  std::string layer;
  std::shared_ptr<const YamlValue> value;
  std::vector<std::string> known;  // the keys asked for, in that order

  // "layer 'stem' (Conv1d): ", as far as both are known.
  std::string title() const {
    const YamlValue::Pointer type = value->find("type");
    const std::string type_text =
        type && type->kind == Kind::kScalar ? fmt::format(" ({})", type->text) : "";
    return layer.empty() ? "" : fmt::format("layer {}{}: ", in_quotes(layer), type_text);
  }

  [[noreturn]] void fail(const Place& place, const std::string& message) const {
    fail_at(place, title() + message);
  }

  [[noreturn]] void fail_expected(const std::string& key, const std::string& expected,
                                  const YamlValue& found) const {
    engine::fail_expected(fmt::format("{}'{}'", title(), key), expected, found);
  }

  void mark_known(const std::string& key) {
    if (!contains(known, key)) known.push_back(key);
  }

  /// The value under `key`, or null; the key counts as known from here on.
  YamlValue::Pointer get(const std::string& key) {
    mark_known(key);
    return value->find(key);
  }

  /// The same for a key that must be there.
  const YamlValue& require(const std::string& key) {
    mark_known(key);
    return require_key(*value, key, known, title());
  }

  int64_t to_integer(const std::string& key, const YamlValue& found) const {
    const std::optional<int64_t> number = as_integer(found);
    if (number) return *number;
    const bool too_large = found.kind == Kind::kScalar && !found.quoted &&
                           found.text.find_first_not_of("+-0123456789") == std::string::npos;
    fail_expected(key, too_large ? "an integer of at most 64 bits" : "an integer", found);
  }

  int64_t to_integer(const std::string& key, const YamlValue& found, int64_t least) const {
    const int64_t number = to_integer(key, found);
    if (number >= least) return number;
    fail(found.place, fmt::format("'{}' must be at least {}, found {}", key, least, number));
  }

  double to_number(const std::string& key, const YamlValue& found) const {
    const std::optional<double> number = as_number(found);
    if (number && std::isfinite(*number)) return *number;
    fail_expected(key, number ? "a finite number" : "a number", found);
  }
};

Attributes::Attributes(std::string layer, std::shared_ptr<const YamlValue> value)
    : state_(std::make_shared<State>(State{std::move(layer), std::move(value), {}})) {
  if (state_->value->kind != Kind::kMap) {
    state_->fail(state_->value->place,
                 fmt::format("attributes must be a map, found {}", describe(*state_->value)));
  }
}

Attributes Attributes::parse(const std::string& yaml) {
  return {"", parse_yaml(yaml, "attributes")};
}

const std::string& Attributes::layer() const { return state_->layer; }

bool Attributes::has(const std::string& key) const { return state_->get(key) != nullptr; }

int64_t Attributes::integer(const std::string& key) const {
  return state_->to_integer(key, state_->require(key));
}

int64_t Attributes::integer(const std::string& key, int64_t fallback) const {
  const YamlValue::Pointer found = state_->get(key);
  return found ? state_->to_integer(key, *found) : fallback;
}

int64_t Attributes::positive(const std::string& key) const {
  return state_->to_integer(key, state_->require(key), 1);
}

int64_t Attributes::positive(const std::string& key, int64_t fallback) const {
  return optional_positive(key).value_or(fallback);
}

std::optional<int64_t> Attributes::optional_positive(const std::string& key) const {
  const YamlValue::Pointer found = state_->get(key);
  if (!found) return std::nullopt;
  return state_->to_integer(key, *found, 1);
}

int64_t Attributes::non_negative(const std::string& key, int64_t fallback) const {
  const YamlValue::Pointer found = state_->get(key);
  return found ? state_->to_integer(key, *found, 0) : fallback;
}

std::vector<int64_t> Attributes::integers(const std::string& key) const {
  const YamlValue& found = state_->require(key);
  if (found.kind != Kind::kList) return {state_->to_integer(key, found)};
  std::vector<int64_t> numbers;
  for (const YamlValue::Pointer& item : found.items) {
    const std::optional<int64_t> number = as_integer(*item);
    if (!number) state_->fail_expected(key, "a list of integers", *item);
    numbers.push_back(*number);
  }
  return numbers;
}

double Attributes::number(const std::string& key) const {
  return state_->to_number(key, state_->require(key));
}

double Attributes::number(const std::string& key, double fallback) const {
  const YamlValue::Pointer found = state_->get(key);
  return found ? state_->to_number(key, *found) : fallback;
}

bool Attributes::boolean(const std::string& key, bool fallback) const {
  const YamlValue::Pointer found = state_->get(key);
  if (!found) return fallback;
  const std::optional<bool> answer = as_boolean(*found);
  if (!answer) state_->fail_expected(key, "true or false", *found);
  return *answer;
}

std::string Attributes::choice(const std::string& key, const std::vector<std::string>& choices,
                               const std::string& fallback) const {
  const YamlValue::Pointer found = state_->get(key);
  if (!found) return fallback;
  if (found->kind == Kind::kScalar && contains(choices, found->text)) return found->text;
  state_->fail(found->place,
               fmt::format("'{}' must be one of {}, found {}{}", key, fmt::join(choices, ", "),
                           describe(*found), did_you_mean(found->text, choices)));
}

bool Attributes::is_text(const std::string& key) const {
  const YamlValue::Pointer found = state_->get(key);
  return found && found->kind == Kind::kScalar && !as_number(*found);
}

bool Attributes::is_list(const std::string& key) const {
  const YamlValue::Pointer found = state_->get(key);
  return found && found->kind == Kind::kList;
}

void Attributes::fail(const std::string& key, const std::string& message) const {
  const YamlValue::Pointer found = state_->value->find(key);
  state_->fail(found ? found->place : state_->value->place, message);
}

void Attributes::allow(const std::vector<std::string>& keys) const {
  for (const std::string& key : keys) state_->mark_known(key);
}

void Attributes::reject_unused() const {
  reject_unknown_keys(*state_->value, state_->known, state_->title());
}

}  // namespace engine
