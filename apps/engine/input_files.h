// The files of --input as tensors for a model.
#pragma once

#include <string>
#include <vector>

#include "apps/engine/audio_fit.h"
#include "engine/model/model_spec.h"
#include "engine/tensor.h"

namespace engine::cli {

/// Reads each argument, FILE or NAME=FILE, and gives one tensor for each input of the model, in
/// declared order. Files without a name go to the inputs that are left, in order; the members of a
/// .npz to the inputs of their names. Throws Error where one cannot be read or does not fit, or
/// where an input is left without.
std::vector<Tensor> read_inputs(const std::vector<std::string>& arguments, const ModelSpec& model,
                                const Notify& notify);

/// `tensor` as the input declares it: floats or integers of another width converted, and leading
/// sizes of 1 added where the declared ones are 1 or named. `origin` names it in messages. Throws
/// Error(kInvalidArgument) with what was expected and found.
Tensor fit_tensor(const Tensor& tensor, const InputSpec& input, const std::string& origin,
                  const Notify& notify);

}  // namespace engine::cli
