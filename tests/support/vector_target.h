// Which vector instructions the library's CPU code runs with.
#pragma once

#include <string>

namespace engine::test {

/// Takes the set of vector instructions of Highway's `name` ("SSE4", "AVX2") in place of the best
/// one. Returns why that is not possible: the library is not compiled for it, or the machine does
/// not have it; empty where it was done. Before the first use of the library.
std::string use_vector_target(const std::string& name);

}  // namespace engine::test
