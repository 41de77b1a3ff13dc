// The pointwise activations, and Softmax, LogSoftmax and GLU, which look along one dimension.
#include <algorithm>
#include <cmath>

#include "tests/reference/families.h"

namespace engine::reference {
namespace {

template <typename Scalar, typename Function>
Outputs<Scalar> pointwise(const Call<Scalar>& call, Function function) {
  Value<Scalar> y = call.input();
  for (Scalar& element : y.data) element = function(element);
  return {y};
}

template <typename Scalar>
Scalar number(const Call<Scalar>& call, const char* key, double fallback) {
  return static_cast<Scalar>(call.attributes.number(key, fallback));
}

template <typename Scalar>
Scalar sigmoid_of(Scalar x) {
  return 1 / (1 + std::exp(-x));
}

template <typename Scalar>
Outputs<Scalar> relu(const Call<Scalar>& call) {
  return pointwise(call, [](Scalar x) { return x < 0 ? Scalar(0) : x; });
}

template <typename Scalar>
Outputs<Scalar> leaky_relu(const Call<Scalar>& call) {
  const Scalar slope = number(call, "negative_slope", 0.01);
  return pointwise(call, [=](Scalar x) { return x < 0 ? slope * x : x; });
}

template <typename Scalar>
Outputs<Scalar> elu(const Call<Scalar>& call) {
  const Scalar alpha = number(call, "alpha", 1.0);
  return pointwise(call, [=](Scalar x) { return x < 0 ? alpha * std::expm1(x) : x; });
}

template <typename Scalar>
Outputs<Scalar> gelu(const Call<Scalar>& call) {
  const Scalar pi = std::acos(Scalar(-1));
  if (call.attributes.choice("approximate", {"none", "tanh"}, "none") == "tanh") {
    return pointwise(call, [=](Scalar x) {
      const Scalar inner = std::sqrt(2 / pi) * (x + Scalar(0.044715) * x * x * x);
      return x / 2 * (1 + std::tanh(inner));
    });
  }
  return pointwise(call, [](Scalar x) { return x / 2 * (1 + std::erf(x / std::sqrt(Scalar(2)))); });
}

template <typename Scalar>
Outputs<Scalar> silu(const Call<Scalar>& call) {
  return pointwise(call, [](Scalar x) { return x * sigmoid_of(x); });
}

template <typename Scalar>
Outputs<Scalar> sigmoid(const Call<Scalar>& call) {
  return pointwise(call, [](Scalar x) { return sigmoid_of(x); });
}

template <typename Scalar>
Outputs<Scalar> tanh(const Call<Scalar>& call) {
  return pointwise(call, [](Scalar x) { return std::tanh(x); });
}

template <typename Scalar>
Outputs<Scalar> softplus(const Call<Scalar>& call) {
  const Scalar beta = number(call, "beta", 1.0);
  const Scalar threshold = number(call, "threshold", 20.0);
  return pointwise(call, [=](Scalar x) {
    return beta * x > threshold ? x : std::log1p(std::exp(beta * x)) / beta;
  });
}

// One slope for all channels, or one for each channel (dimension 1).
template <typename Scalar>
Outputs<Scalar> prelu(const Call<Scalar>& call) {
  const std::vector<Scalar>& slopes = call.parameter("weight").data;
  Value<Scalar> y = call.input();
  const Around view(y.shape, y.shape.size() > 1 ? 1 : 0);
  for (int64_t o = 0; o < view.outer; ++o) {
    for (int64_t c = 0; c < view.size; ++c) {
      const Scalar slope = slopes.size() == 1 ? slopes[0] : slopes.at(c);
      for (int64_t i = 0; i < view.inner; ++i) {
        Scalar& element = y.data[view.at(o, c, i)];
        if (element < 0) element *= slope;
      }
    }
  }
  return {y};
}

// Calls change(line) for every line of elements along `dim`.
template <typename Scalar, typename Change>
Outputs<Scalar> along_dimension(const Call<Scalar>& call, Change change) {
  Value<Scalar> y = call.input();
  const Around view(y.shape, call.attributes.integer("dim", -1));
  std::vector<Scalar> line(view.size);
  for (int64_t o = 0; o < view.outer; ++o) {
    for (int64_t i = 0; i < view.inner; ++i) {
      for (int64_t s = 0; s < view.size; ++s) line[s] = y.data[view.at(o, s, i)];
      change(line);
      for (int64_t s = 0; s < view.size; ++s) y.data[view.at(o, s, i)] = line[s];
    }
  }
  return {y};
}

// The line shifted so that its maximum is 0, and the sum of the shifted line's exponentials.
template <typename Scalar>
Scalar shift_and_sum(std::vector<Scalar>& line) {
  const Scalar maximum = *std::max_element(line.begin(), line.end());
  Scalar sum = 0;
  for (Scalar& x : line) {
    x -= maximum;
    sum += std::exp(x);
  }
  return sum;
}

template <typename Scalar>
Outputs<Scalar> softmax(const Call<Scalar>& call) {
  return along_dimension(call, [](std::vector<Scalar>& line) {
    const Scalar sum = shift_and_sum(line);
    for (Scalar& x : line) x = std::exp(x) / sum;
  });
}

template <typename Scalar>
Outputs<Scalar> log_softmax(const Call<Scalar>& call) {
  return along_dimension(call, [](std::vector<Scalar>& line) {
    const Scalar sum = shift_and_sum(line);
    for (Scalar& x : line) x -= std::log(sum);
  });
}

// y = first half * sigmoid(second half), along `dim`.
template <typename Scalar>
Outputs<Scalar> glu(const Call<Scalar>& call) {
  const Value<Scalar>& x = call.input();
  const int64_t dim = call.attributes.integer("dim", -1);
  Shape shape = x.shape;
  shape[dimension(shape, dim)] /= 2;
  auto y = zeros<Scalar>(shape);
  const Around whole(x.shape, dim), half(shape, dim);
  for (int64_t o = 0; o < half.outer; ++o) {
    for (int64_t s = 0; s < half.size; ++s) {
      for (int64_t i = 0; i < half.inner; ++i) {
        y.data[half.at(o, s, i)] =
            x.data[whole.at(o, s, i)] * sigmoid_of(x.data[whole.at(o, s + half.size, i)]);
      }
    }
  }
  return {y};
}

}  // namespace

template <typename Scalar>
void add_activations(Table<Scalar>& table) {
  table["ReLU"] = relu;
  table["LeakyReLU"] = leaky_relu;
  table["PReLU"] = prelu;
  table["ELU"] = elu;
  table["GELU"] = gelu;
  table["SiLU"] = silu;
  table["Sigmoid"] = sigmoid;
  table["Tanh"] = tanh;
  table["Softplus"] = softplus;
  table["Softmax"] = softmax;
  table["LogSoftmax"] = log_softmax;
  table["GLU"] = glu;
}

template void add_activations(Table<double>&);
template void add_activations(Table<float>&);

}  // namespace engine::reference
