// The layers of this folder, for the list in norm_layers.cpp, and the check that they share.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "engine/layer.h"

namespace engine {

std::unique_ptr<Layer> make_batch_norm(const Attributes& attributes);
/// InstanceNorm1d with track_running_stats: at inference a batch norm.
std::unique_ptr<Layer> make_tracked_instance_norm(const Attributes& attributes);
std::unique_ptr<Layer> make_instance_norm(const Attributes& attributes);
std::unique_ptr<Layer> make_layer_norm(const Attributes& attributes);
std::unique_ptr<Layer> make_group_norm(const Attributes& attributes);
std::unique_ptr<Layer> make_softmax(const Attributes& attributes);
std::unique_ptr<Layer> make_log_softmax(const Attributes& attributes);

/// Throws Error(kInvalidArgument) unless `spec` is NC or NCL and has `channels` channels, where
/// that is given; `key` is the attribute that gives it.
void expect_channels(const TensorSpec& spec, std::optional<int64_t> channels, const char* key);

}  // namespace engine
