// Folding of a per-channel affine map into the weights of the layer before it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "engine/layer.h"

namespace engine {

/// True where `affine` has a scale and a shift for each of `channels` output channels.
bool fits_affine(const ChannelAffine& affine, int64_t channels);

/// The parameters `weight` and `bias` of a layer y = W x + bias (bias may be missing), changed so
/// that it computes scale * y + shift: both are folded in double and rounded once. Every `run`
/// weights that follow each other belong to one output channel, channel_of(r) for run r.
std::map<std::string, Tensor> fold_affine(const std::map<std::string, Tensor>& parameters,
                                          const ChannelAffine& affine, int64_t run,
                                          const std::function<int64_t(int64_t)>& channel_of);

}  // namespace engine
