// Texts from files: are they text at all, and how do they look in an error message.
#pragma once

#include <string>

namespace engine {

/// `text` in single quotes for a one-line message: control characters escaped, cut where long.
std::string in_quotes(const std::string& text);

/// Index of the first byte that is not UTF-8 or is a control character other than tab, line feed
/// and carriage return; std::string::npos where there is none.
size_t first_non_text_byte(const std::string& text);

}  // namespace engine
