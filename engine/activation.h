// The pointwise functions that a layer can apply to its own result before storing it.
#pragma once

namespace engine {

/// A pointwise function with up to one parameter; formulas as in torch.nn.
/// Parameter: negative_slope of LeakyReLU, alpha of ELU, beta of Softplus.
struct Activation {
  enum class Kind {
    kIdentity,
    kReLU,
    kLeakyReLU,
    kELU,
    kGELU,      ///< x * Phi(x), through erf
    kGELUTanh,  ///< the tanh approximation
    kSiLU,
    kSigmoid,
    kTanh,
    kSoftplus,
  };
  Kind kind = Kind::kIdentity;
  float parameter = 0.0f;
  /// Softplus only: above it, beta * x counts as linear (torch's threshold).
  float threshold = 20.0f;
};

/// "ReLU", "GELU(tanh)" ...: for plans and tables.
const char* to_string(Activation::Kind kind);

}  // namespace engine
