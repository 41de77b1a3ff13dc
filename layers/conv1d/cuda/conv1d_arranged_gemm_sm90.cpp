// The row of the Hopper GEMM whose windows come from units that are arranged before: how its
// samples are cut into pieces for the workspace, and what it costs.
#include <algorithm>

#include "layers/conv1d/cuda/arrange_units.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/implicit_gemm_step.h"
#include "layers/conv1d/cuda/turn_gemm_step.h"

namespace engine::cuda {
namespace {

constexpr int64_t kWorkspaceBytes = int64_t{64} << 20;

int64_t sample_bytes(const Conv1dProblem& p, const TurnPlan& plan) {
  return plan.planes.sample_bytes(p.groups);
}

// What tiles at the end of the last plane read behind it.
int64_t bytes_behind(const TurnPlan& plan) { return int64_t{plan.positions()} * kUnitBytes; }

bool scales(const Conv1dProblem& p) { return p.dtype == DType::kF32; }

// What f32 is scaled for.
int64_t scale_bytes(const Conv1dProblem& p, int64_t samples) {
  return scales(p) ? UnitScales::bytes_of(samples * p.groups) : 0;
}

// Samples of a piece; all pieces but the last have as many. 0 where the workspace holds none.
int64_t piece_samples(const Conv1dProblem& p, const TurnPlan& plan) {
  const int64_t bytes = sample_bytes(p, plan) + scale_bytes(p, 1);
  const int64_t most = (kWorkspaceBytes - bytes_behind(plan)) / bytes;
  if (most <= 0) return 0;
  return ceil_divide(p.batch, ceil_divide(p.batch, most));
}

Conv1dProblem with_batch(Conv1dProblem p, int64_t samples) {
  p.batch = samples;
  return p;
}

// A plan of all samples for some of them.
TurnPlan for_samples(const Conv1dProblem& p, TurnPlan plan, int64_t samples) {
  plan.lay_tiles(with_batch(p, samples), plan.joined());
  return plan;
}

// Units are written to and read from memory or the L2 cache.
double piece_seconds(const Conv1dProblem& p, const TurnPlan& plan) {
  const double launches = scales(p) ? 2.8e-6 : 1.45e-6;  // more than that of the GEMM
  const double bytes_per_second = scales(p) ? 3.06e12 : 3.8e12;
  const auto size = static_cast<double>(size_of(p.dtype));
  const auto units = static_cast<double>(p.batch * sample_bytes(p, plan));
  const double x = size * static_cast<double>(p.batch * p.in_channels * p.in_length);
  const double y = size * static_cast<double>(p.batch * p.out_channels * p.out_length);
  return launches + (x + units) / bytes_per_second + turn_gemm_seconds(p, plan, units + y);
}

TurnChoice choose(const Conv1dProblem& p) {
  return choose_turn_gemm(p, TurnSource::kUnits, [&](const TurnPlan& plan) {
    const int64_t samples = piece_samples(p, plan);
    if (samples == 0) return 1e30;
    return static_cast<double>(p.batch) / static_cast<double>(samples) *
           piece_seconds(with_batch(p, samples), for_samples(p, plan, samples));
  });
}

bool can_implement(const Conv1dProblem& p) {
  if (!turn_gemm_allows(p)) return false;
  const TurnChoice choice = choose(p);
  return choice.kernel != nullptr && piece_samples(p, choice.plan) > 0;
}

double seconds(const Conv1dProblem& p) { return choose(p).seconds; }

// Some samples of a problem, with their launch.
struct Piece {
  Conv1dProblem problem;
  UnitPlanes planes;
  int64_t first_sample;
  TurnLaunch launch;
};

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const TurnChoice choice = choose(p);
  const TurnParameters parameters = turn_parameters(p, choice.plan, context);
  const int64_t samples = piece_samples(p, choice.plan);
  std::vector<Piece> pieces;
  for (int64_t first = 0; first < p.batch; first += samples) {
    const Conv1dProblem piece = with_batch(p, std::min(samples, p.batch - first));
    const TurnPlan plan = for_samples(p, choice.plan, piece.batch);
    pieces.push_back({piece, plan.planes, first, turn_launch(piece, plan, parameters, context)});
  }
  const auto size = static_cast<int64_t>(size_of(p.dtype));
  Step step;
  const int64_t unit_bytes = samples * sample_bytes(p, choice.plan) + bytes_behind(choice.plan);
  step.workspace_bytes = unit_bytes + scale_bytes(p, samples);
  step.enqueue = [=, launch = choice.kernel->launch,
                  shared_bytes = choice.plan.shared_bytes()](const StepContext& c) {
    char* units = static_cast<char*>(c.workspace);
    const UnitScales scales(units + unit_bytes, samples * p.groups);
    for (const Piece& piece : pieces) {
      const char* x = c.input<char>(0) + piece.first_sample * p.in_channels * p.in_length * size;
      arrange_units(piece.problem, piece.planes, x, scales, units, c.stream);
      TurnGemm gemm = piece.launch.gemm;
      gemm.units = units;
      gemm.unit_scales = scales.of_groups;
      gemm.y = static_cast<char*>(c.outputs[0]) +
               piece.first_sample * p.out_channels * p.out_length * size;
      launch(gemm, shared_bytes, piece.launch.blocks, c.stream);
    }
    (void)parameters;  // kept alive
  };
  return step;
}

}  // namespace

Conv1dKernel conv1d_arranged_gemm_sm90() {
  return {"conv1d_arranged_gemm_sm90", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
