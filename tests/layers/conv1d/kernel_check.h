// Checks of every row of the Conv1d table on one problem.
#pragma once

#include "layers/conv1d/conv1d_problem.h"
#include "tests/layers/conv1d/random_conv1d.h"

namespace engine::test {

/// Runs every row that can compute the case, chosen or not, on every device and precision, against
/// the fp64 reference. Checks that each device has such a row.
void check_fused_kernels(const ConvCase& conv_case);

/// The same for the layer alone, and for it with what with_random_epilogue() draws.
void check_kernels(const LayerCase& layer);

/// The problem of a Conv1d or ConvTranspose1d without anything fused.
Conv1dProblem problem_of(const LayerCase& layer, Precision precision);

}  // namespace engine::test
