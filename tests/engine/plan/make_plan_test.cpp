#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "engine/engine_state.h"
#include "engine/plan/plan.h"
#include "tests/support/models.h"

namespace engine {
namespace {

const PlanStep& step_of(const Plan& plan, const std::string& layer) {
  const auto step = std::find_if(plan.steps.begin(), plan.steps.end(),
                                 [&](const PlanStep& s) { return s.layer == layer; });
  REQUIRE(step != plan.steps.end());
  return *step;
}

// Whether `layer` writes to the memory of its input of that index.
bool overwrites(const Plan& plan, const std::string& layer, size_t input) {
  const PlanStep& step = step_of(plan, layer);
  const Slot& from = step.inputs.at(input);
  const Slot& to = step.outputs.front();
  return from.home == to.home && from.index == to.index && from.offset == to.offset;
}

// The plan of these layers over x [2, 6, 3000]; checks that they give what they give one by one,
// and the same when they run again.
Plan plan_of(const std::string& layers) {
  const std::string yaml = "format: 1\ninputs: {x: {shape: [2, 6, 3000]}}\nlayers:\n" + layers;
  EngineOptions options = test::on_cpu();
  options.threads = 2;
  const Engine fused = test::engine_from_text(yaml, options);
  options.fuse = false;
  const Engine unfused = test::engine_from_text(yaml, options);
  const Tensor input = test::random_tensor({2, 6, 3000}, 5);
  const Tensor expected = unfused.run({input}).front();
  Session session = fused.new_session();
  for (int i = 0; i < 2; ++i) {
    CHECK(test::max_difference(session.run({input}).front(), expected) < 1e-5);
  }
  return *session.plan_for({{2, 6, 3000}});
}

constexpr const char* kBlock =
    "  - {name: a, type: Conv1d, out_channels: 6, kernel_size: 1, inputs: [x]}\n"
    "  - {name: c, type: Conv1d, out_channels: 6, kernel_size: 3, padding: 1}\n"
    "  - {name: d, type: Conv1d, out_channels: 6, kernel_size: 3, padding: 1}\n"
    "  - {name: s, type: Add, inputs: [d, a]}\n";

}  // namespace

TEST_CASE("a residual's memory becomes that of the sum") {
  const Plan plan = plan_of(std::string(kBlock) + "  - {name: m, type: Softmax, dim: 1}\n");
  CHECK(overwrites(plan, "d", 1));
  constexpr int64_t kValue = 2 * 6 * 3000 * 4;
  CHECK(plan.arena_bytes < 2 * kValue + 1000);  // alignment
}

TEST_CASE("a residual that is read later is kept") {
  const Plan plan = plan_of(std::string(kBlock) +
                            "  - {name: m, type: Softmax, dim: 1}\n"
                            "  - {name: j, type: Concat, inputs: [m, a]}\n");
  CHECK_FALSE(overwrites(plan, "d", 1));
}

TEST_CASE("a residual that the convolution itself reads is kept") {
  const Plan plan = plan_of(
      "  - {name: a, type: Conv1d, out_channels: 6, kernel_size: 1}\n"
      "  - {name: d, type: Conv1d, out_channels: 6, kernel_size: 3, padding: 1}\n"
      "  - {name: s, type: Add, inputs: [d, a]}\n"
      "  - {name: m, type: Softmax, dim: 1}\n");
  CHECK_FALSE(overwrites(plan, "d", 0));
  CHECK_FALSE(overwrites(plan, "d", 1));
}

TEST_CASE("what the caller gave is kept, and the caller's output is written where it is") {
  const Plan plan = plan_of(
      "  - {name: d, type: Conv1d, out_channels: 6, kernel_size: 3, padding: 1}\n"
      "  - {name: s, type: Add, inputs: [d, x]}\n"
      "  - {name: m, type: Softmax, dim: 1}\n"
      "  - {name: r, type: Tanh}\n");
  CHECK_FALSE(overwrites(plan, "d", 1));
  CHECK(step_of(plan, "r").outputs.front().home == Slot::Home::kOutput);
}

TEST_CASE("elementwise layers take the memory of their input, through views and before them") {
  const Plan plan = plan_of(
      "  - {name: a, type: Softmax, dim: 1}\n"
      "  - {name: i, type: Identity}\n"
      "  - {name: t, type: Tanh}\n"
      "  - {name: g, type: Sigmoid, inputs: [t]}\n"
      "  - {name: f, type: Flatten}\n"
      "  - {name: b, type: Reshape, shape: [0, 6, -1]}\n"
      "  - {name: m, type: Mean, keepdim: true}\n");
  CHECK(overwrites(plan, "g", 0));
  CHECK(overwrites(plan, "f", 0));
  CHECK(overwrites(plan, "b", 0));
  constexpr int64_t kValue = 2 * 6 * 3000 * 4;
  CHECK(plan.arena_bytes < 2 * kValue);
}

TEST_CASE("a value that a view of it still shows is kept") {
  const Plan plan = plan_of(
      "  - {name: a, type: Softmax, dim: 1}\n"
      "  - {name: i, type: Identity}\n"
      "  - {name: t, type: Tanh, inputs: [a]}\n"
      "  - {name: p, type: Softmax, dim: 1}\n"
      "  - {name: j, type: Concat, inputs: [p, i]}\n");
  CHECK_FALSE(overwrites(plan, "t", 0));
}

}  // namespace engine
