#include "engine/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/error.h"

namespace engine {

int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  bool overflow = false;
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("shape {} has a negative size", to_string(shape)));
    }
    empty = empty || size == 0;
    overflow = __builtin_mul_overflow(count, size, &count) || overflow;
  }
  if (empty) return 0;
  // Eight bytes is the widest element, so that byte counts fit as well.
  if (overflow || count > INT64_MAX / 8) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("shape {} has too many elements", to_string(shape)));
  }
  return count;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace engine
