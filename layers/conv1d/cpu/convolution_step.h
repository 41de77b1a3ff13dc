// The Step of a convolution that has been cut for the CPU.
#pragma once

#include <memory>
#include <string>

#include "engine/layer.h"
#include "layers/conv1d/conv1d_problem.h"
#include "layers/conv1d/conv1d_taps.h"

namespace engine::cpu {

/// Packs the layer's weights, under `key`, and runs `convolution` on them: a DenseConvolution or
/// RowConvolution of the problem.
template <typename Convolution>
Step convolution_step(const Conv1dProblem& p, const PrepareContext& context,
                      const std::shared_ptr<const Convolution>& convolution,
                      const std::string& key) {
  const Tensor weight = context.weight(key, [&] {
    return convolution->pack_weights(weight_reader(p, context.layer->parameter("weight")));
  });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  Step step;
  if (p.residual && convolution->writes_once()) step.overwrites = 1;
  step.enqueue = [=](const StepContext& c) {
    convolution->run(
        {c.input<float>(), weight.data<float>(), bias.defined() ? bias.data<float>() : nullptr,
         p.residual ? c.input<float>(1) : nullptr, c.output<float>()},
        *c.threads);
  };
  return step;
}

}  // namespace engine::cpu
