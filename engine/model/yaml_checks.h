// Checks that everything read from YAML shares. Each throws Error(kModel) with the place of what it
// found; `title` goes before the message ("layer 'stem': "), `what` names the value in it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model/yaml_value.h"

namespace engine {

[[noreturn]] void fail_at(const Place& place, const std::string& message);

/// "'bias' must be true or false, found the number 3".
[[noreturn]] void fail_expected(const std::string& what, const std::string& expected,
                                const YamlValue& found);

/// Rejects the first key of `map` that is not in `known`, and names the nearest that is.
void reject_unknown_keys(const YamlValue& map, const std::vector<std::string>& known,
                         const std::string& title);

/// The value under `key`, which must be there; a key that is not in `known` but looks like `key` is
/// pointed at.
const YamlValue& require_key(const YamlValue& map, const std::string& key,
                             const std::vector<std::string>& known, const std::string& title);

/// The text of a scalar as it was written (yes and 3 as well as 'yes'), not empty and without
/// control characters.
std::string read_text(const YamlValue& value, const std::string& what);

/// A text that others refer to: without the colon that precedes the number of an output.
std::string read_name(const YamlValue& value, const std::string& what);

/// A key that is a name.
std::string read_name(const YamlValue::Entry& entry, const std::string& what);

/// An integer of at least 1.
int64_t read_positive(const YamlValue& value, const std::string& what);

}  // namespace engine
