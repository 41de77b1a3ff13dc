// MaxPool1d, AvgPool1d, AdaptiveAvgPool1d and AdaptiveMaxPool1d over the last dimension.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/reference/families.h"

namespace engine::reference {
namespace {

// The parameters that MaxPool1d and AvgPool1d share.
struct Windows {
  int64_t kernel_size, stride, padding, dilation, length, out_length;

  Windows(const Attributes& attributes, int64_t input_length) {
    kernel_size = attributes.integer("kernel_size");
    stride = attributes.integer("stride", kernel_size);
    padding = attributes.integer("padding", 0);
    dilation = attributes.integer("dilation", 1);
    length = input_length;
    const bool ceil_mode = attributes.boolean("ceil_mode", false);
    const int64_t room = length + 2 * padding - dilation * (kernel_size - 1) - 1;
    out_length = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    // A last window that starts beyond the input and its left padding does not count.
    if (ceil_mode && (out_length - 1) * stride >= length + padding) --out_length;
  }
  // Position of tap k of window t in the unpadded input; may lie outside.
  int64_t position(int64_t t, int64_t k) const { return t * stride - padding + k * dilation; }
};

template <typename Scalar>
Scalar maximum(Scalar a, Scalar b) {
  return a > b || std::isnan(a) ? a : b;
}

// Makes each output element by pool(row, t), with `row` the input row of its own.
template <typename Scalar, typename Pool>
Outputs<Scalar> pool_rows(const Call<Scalar>& call, int64_t out_length, Pool pool) {
  const Value<Scalar>& x = call.input();
  const int64_t length = x.shape.back();
  Value<Scalar> y{x.shape, {}};
  y.shape.back() = out_length;
  for (int64_t row = 0; row < element_count(x.shape) / length; ++row) {
    for (int64_t t = 0; t < out_length; ++t) y.data.push_back(pool(&x.data[row * length], t));
  }
  return {y};
}

// Padding counts as -infinity; NaN wins.
template <typename Scalar>
Outputs<Scalar> max_pool(const Call<Scalar>& call) {
  const Windows windows(call.attributes, call.input().shape.back());
  return pool_rows(call, windows.out_length, [&](const Scalar* x, int64_t t) {
    Scalar result = -std::numeric_limits<Scalar>::infinity();
    for (int64_t k = 0; k < windows.kernel_size; ++k) {
      const int64_t position = windows.position(t, k);
      if (position >= 0 && position < windows.length) result = maximum(x[position], result);
    }
    return result;
  });
}

// The divisor counts the taps within the padded input, or only those within the input itself.
template <typename Scalar>
Outputs<Scalar> avg_pool(const Call<Scalar>& call) {
  const Windows windows(call.attributes, call.input().shape.back());
  const bool count_include_pad = call.attributes.boolean("count_include_pad", true);
  return pool_rows(call, windows.out_length, [&](const Scalar* x, int64_t t) {
    Scalar sum = 0;
    int64_t inside = 0, inside_padded = 0;
    for (int64_t k = 0; k < windows.kernel_size; ++k) {
      const int64_t position = windows.position(t, k);
      if (position < windows.length + windows.padding) ++inside_padded;
      if (position < 0 || position >= windows.length) continue;
      ++inside;
      sum += x[position];
    }
    return sum / static_cast<Scalar>(count_include_pad ? inside_padded : inside);
  });
}

// Window t of `out` spans [floor(t length / out), ceil((t + 1) length / out)).
template <typename Scalar, typename Pool>
Outputs<Scalar> adaptive_pool(const Call<Scalar>& call, Pool pool) {
  const int64_t length = call.input().shape.back();
  const int64_t out = call.attributes.integer("output_size");
  return pool_rows(call, out, [&](const Scalar* x, int64_t t) {
    const int64_t begin = t * length / out;
    const int64_t end = ((t + 1) * length + out - 1) / out;
    return pool(std::vector<Scalar>(x + begin, x + end));
  });
}

template <typename Scalar>
Outputs<Scalar> adaptive_avg_pool(const Call<Scalar>& call) {
  return adaptive_pool(call, [](const std::vector<Scalar>& window) {
    Scalar sum = 0;
    for (const Scalar x : window) sum += x;
    return sum / static_cast<Scalar>(window.size());
  });
}

template <typename Scalar>
Outputs<Scalar> adaptive_max_pool(const Call<Scalar>& call) {
  return adaptive_pool(call, [](const std::vector<Scalar>& window) {
    Scalar result = window.front();
    for (const Scalar x : window) result = maximum(x, result);
    return result;
  });
}

}  // namespace

template <typename Scalar>
void add_pooling(Table<Scalar>& table) {
  table["MaxPool1d"] = max_pool;
  table["AvgPool1d"] = avg_pool;
  table["AdaptiveAvgPool1d"] = adaptive_avg_pool;
  table["AdaptiveMaxPool1d"] = adaptive_max_pool;
}

template void add_pooling(Table<double>&);
template void add_pooling(Table<float>&);

}  // namespace engine::reference
