// Checks of what a failing call says.
#pragma once

#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "engine/error.h"

namespace engine::test {

/// The Error that `call` throws; a failed check where it throws none.
template <typename Call>
std::optional<Error> error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL_CHECK("expected an engine::Error, but nothing was thrown");
  return std::nullopt;
}

/// Expects `call` to throw an Error of `kind` whose whole message is `message`.
template <typename Call>
void expect_error(const Call& call, ErrorKind kind, const std::string& message) {
  const std::optional<Error> error = error_of(call);
  if (!error) return;
  CHECK(std::string(error->what()) == message);
  CHECK(error->kind() == kind);
}

}  // namespace engine::test
