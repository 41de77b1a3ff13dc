#include "tests/support/expectation.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace engine::test {
namespace {

using reference::Parameters;
using reference::Value;

// Rounds to the 10-bit mantissa of TF32, to nearest even.
float round_to_tf32(float value) {
  if (!std::isfinite(value)) return value;
  const uint32_t word = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>((word + 0xfffu + ((word >> 13) & 1u)) & ~0x1fffu);
}

double element(const Tensor& tensor, int64_t i) {
  switch (tensor.dtype()) {
    case DType::kF32:
      return tensor.data<float>()[i];
    case DType::kF16:
      return static_cast<float>(tensor.data<Half>()[i]);
    case DType::kBF16:
      return static_cast<float>(tensor.data<BFloat16>()[i]);
    case DType::kI32:
      return tensor.data<int32_t>()[i];
    case DType::kI64:
      return static_cast<double>(tensor.data<int64_t>()[i]);
  }
  return 0.0;
}

template <typename Scalar, typename Change>
Value<Scalar> to_value(const Tensor& tensor, Change change) {
  Value<Scalar> value{tensor.shape(), {}};
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const Scalar plain = static_cast<Scalar>(element(tensor, i));
    value.data.push_back(is_floating(tensor.dtype()) ? change(plain) : plain);
  }
  return value;
}

// The reference on the problem's inputs and parameters, each element changed by `change` first.
template <typename Scalar, typename Change>
std::vector<Value<Scalar>> evaluate(const Problem& problem, Change change) {
  Parameters<Scalar> parameters;
  for (const auto& [name, tensor] : problem.parameters) {
    parameters[name] = to_value<Scalar>(tensor, change);
  }
  std::vector<Value<Scalar>> inputs;
  for (const Tensor& input : problem.inputs) inputs.push_back(to_value<Scalar>(input, change));
  return reference::evaluate(problem.type, problem.attributes, parameters, inputs);
}

bool multiplies_in_tf32(const std::string& type, Precision precision) {
  return precision == Precision::kTf32 &&
         (type == "Conv1d" || type == "ConvTranspose1d" || type == "Linear");
}

double unit_roundoff(DType dtype) {
  return dtype == DType::kF16 ? 0x1p-11 : (dtype == DType::kBF16 ? 0x1p-8 : 0x1p-24);
}

double largest_finite(const std::vector<double>& values) {
  double largest = 0.0;
  for (const double value : values) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  return largest;
}

double largest_error(const std::vector<float>& plain, const std::vector<double>& exact,
                     DType storage) {
  std::vector<double> errors;
  for (size_t i = 0; i < plain.size(); ++i) {
    errors.push_back(round_to(storage, plain[i]) - exact[i]);
  }
  return largest_finite(errors);
}

// Whether a stored result is as near to the exact one as it must be.
bool matches(double actual, double exact, double allowed, DType dtype) {
  if (!is_floating(dtype)) return actual == exact;
  if (std::isnan(exact) || std::isnan(actual)) return std::isnan(exact) && std::isnan(actual);
  if (std::isinf(actual) || std::isinf(exact)) {
    // An exact result just below the overflow threshold may have been rounded across it.
    return actual == round_to(dtype, exact + std::copysign(allowed, exact));
  }
  return std::abs(actual - exact) <= allowed;
}

// True where the element still holds the bytes that it was poisoned with.
bool unwritten(const Tensor& tensor, int64_t i) {
  const size_t size = size_of(tensor.dtype());
  const auto* bytes =
      static_cast<const unsigned char*>(tensor.raw()) + static_cast<size_t>(i) * size;
  return std::all_of(bytes, bytes + size, [](unsigned char byte) { return byte == 0xFF; });
}

std::string index_text(int64_t flat, const Shape& shape) {
  Shape index(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    index[d] = flat % shape[d];
    flat /= shape[d];
  }
  return to_string(index);
}

}  // namespace

double round_to(DType dtype, double value) {
  const float nearest = static_cast<float>(value);
  if (dtype == DType::kF16) return static_cast<float>(Half(nearest));
  if (dtype == DType::kBF16) return static_cast<float>(BFloat16(nearest));
  return is_floating(dtype) ? nearest : value;
}

std::vector<Expectation> expect(const Problem& problem, Precision precision) {
  const DType storage = storage_dtype(precision);
  const bool tf32 = multiplies_in_tf32(problem.type, precision);
  const auto exact = evaluate<double>(problem, [](double x) { return x; });
  const auto plain = evaluate<float>(problem, [=](float x) { return tf32 ? round_to_tf32(x) : x; });
  const auto squares = evaluate<double>(problem, [](double x) { return x * x; });

  const double arithmetic_unit = tf32 ? 0x1p-11 : unit_roundoff(DType::kF32);
  const double tiny = storage == DType::kF16 ? 0x1p-24 : 0x1p-126;
  std::vector<Expectation> expected;
  for (size_t i = 0; i < exact.size(); ++i) {
    const double plain_error = largest_error(plain[i].data, exact[i].data, storage);
    const double magnitude = std::sqrt(largest_finite(squares[i].data));
    const double small_problem = 2.0 * unit_roundoff(storage) * largest_finite(exact[i].data) +
                                 4.0 * arithmetic_unit * magnitude + tiny;
    expected.push_back({exact[i], std::max(2.0 * plain_error, small_problem)});
  }
  return expected;
}

Expectation then_activation(const Expectation& before, const std::string& type,
                            const Attributes& attributes) {
  const Value<double> exact =
      reference::evaluate<double>(type, attributes, {}, {before.exact}).front();
  const double own = 4.0 * unit_roundoff(DType::kF32) * largest_finite(exact.data);
  return {exact, 1.13 * before.allowed + own};
}

Expectation then_add(const Expectation& before, const Tensor& residual, Precision precision) {
  Value<double> exact = before.exact;
  for (int64_t i = 0; i < residual.elements(); ++i) {
    exact.data[static_cast<size_t>(i)] += element(residual, i);
  }
  const double own = 2.0 * unit_roundoff(storage_dtype(precision)) * largest_finite(exact.data);
  return {exact, before.allowed + own};
}

std::string difference(const Tensor& actual, const Expectation& expected, Precision precision) {
  const Value<double>& exact = expected.exact;
  const DType dtype = is_floating(actual.dtype()) ? storage_dtype(precision) : actual.dtype();
  if (actual.shape() != exact.shape || actual.dtype() != dtype) {
    return fmt::format("found {}, expected {}", to_string(actual.spec()),
                       to_string(TensorSpec{exact.shape, dtype}));
  }
  int64_t wrong = 0, missing = 0, first = -1;
  for (int64_t i = 0; i < actual.elements(); ++i) {
    missing += unwritten(actual, i);
    const double exact_element = exact.data[static_cast<size_t>(i)];
    if (matches(element(actual, i), exact_element, expected.allowed, dtype)) continue;
    ++wrong;
    if (first < 0) first = i;
  }
  if (missing > 0) {
    return fmt::format("{} of {} elements were not written", missing, actual.elements());
  }
  if (wrong == 0) return "";
  return fmt::format("{} of {} elements differ; the first, {}: found {}, expected {} +- {}", wrong,
                     actual.elements(), index_text(first, exact.shape), element(actual, first),
                     exact.data[static_cast<size_t>(first)], expected.allowed);
}

}  // namespace engine::test
