// Sound made to fit what a model's input declares, saying what was changed.
#pragma once

#include <string>

#include "apps/engine/audio_file.h"
#include "engine/model/model_spec.h"
#include "engine/tensor.h"

namespace engine::cli {

/// `audio` as f32 in the input's shape, [length], [batch, length] or [batch, channels, length] with
/// a batch of 1: its channels averaged into one, or its one channel repeated, where the input
/// declares another number; resampled to the declared rate; padded with zeros or cut where the
/// declared length is a number. `path` names the sound in messages. Throws Error(kInvalidArgument)
/// where the input is not for sound, or several channels do not map onto several.
Tensor fit_audio(Audio audio, const InputSpec& input, const std::string& path,
                 const Notify& notify);

/// "f32 [batch, 1, length]".
std::string declared_text(const InputSpec& input);

}  // namespace engine::cli
