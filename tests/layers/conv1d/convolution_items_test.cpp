// How the work of CPU convolutions is cut for threads, and that it does not show in what they
// compute.
#include "layers/conv1d/cpu/convolution_items.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/models.h"

namespace engine::test {
namespace {

using cpu::share_out;
using cpu::SharedWork;
using cpu::Sharing;

// A layer of 100 us over 32 units in one sample.
SharedWork short_layer() { return {1, 32, 96, 40, 100e-6, 5e-6, 20000}; }

int64_t items(const SharedWork& work, const Sharing& sharing) {
  return work.parts * sharing.tiles * sharing.splits;
}

Tensor run_with(int threads, const std::string& kernel, const std::string& layer,
                const Tensor& input) {
  EngineOptions options = on_cpu();
  options.threads = threads;
  options.kernel = kernel;
  const std::string yaml =
      fmt::format("format: 1\ninputs: {{x: {{shape: [2, 32, length]}}}}\nlayers:\n  - {}\n", layer);
  return engine_from_text(yaml, options).run({input}).front();
}

}  // namespace

TEST_CASE("tiles cover every unit and are no longer than they may be") {
  for (const int64_t units : {1, 2, 15, 31, 1000}) {
    for (const int64_t most : {1, 7, 2000}) {
      for (const int threads : {1, 2, 3, 16}) {
        SharedWork work = short_layer();
        work.units = units;
        work.most_units = most;
        const Sharing sharing = share_out(work, threads);
        CAPTURE(units);
        CAPTURE(most);
        CAPTURE(threads);
        CHECK(sharing.units <= most);
        CHECK(sharing.units * sharing.tiles >= units);
        CHECK(sharing.units * (sharing.tiles - 1) < units);
        CHECK(sharing.splits >= 1);
        CHECK(sharing.splits <= work.most_splits);
      }
    }
  }
}

TEST_CASE(
    "one thread, and what does not pay for waking others, is cut no further than it must be") {
  SharedWork work = short_layer();
  CHECK(items(work, share_out(work, 1)) == 1);
  work.seconds = 10e-6;
  CHECK(items(work, share_out(work, 16)) == 1);
}

TEST_CASE("a short signal gives every thread an item, by output channel where there is no length") {
  SharedWork work = short_layer();
  CHECK(items(work, share_out(work, 2)) >= 2);
  CHECK(share_out(work, 2).splits == 1);
  CHECK(items(work, share_out(work, 16)) >= 16);
  work.units = 2;
  const Sharing sharing = share_out(work, 16);
  CHECK(sharing.splits >= 8);
}

TEST_CASE("tiles are not shortened where every one of them reads weights for longer") {
  SharedWork work = short_layer();
  work.parts = 2;
  work.weights = 10'000'000;
  CHECK(share_out(work, 2).tiles == 1);
}

TEST_CASE("CPU convolutions give the same with any number of threads") {
  const struct {
    const char* kernel;
    const char* layer;
    // A few roundings: of loops for SSE4 the compiler may contract one block's products and sums,
    // but not another's, where it may use the machine's fused ones.
    double tolerance = 1e-6;
  } cases[] = {
      {"conv1d_dense_cpu", "{name: c, type: Conv1d, out_channels: 53, kernel_size: 3, padding: 1}"},
      {"conv1d_dense_cpu", "{name: c, type: Conv1d, out_channels: 53, kernel_size: 1}"},
      {"conv1d_dense_cpu",
       "{name: c, type: ConvTranspose1d, out_channels: 20, kernel_size: 8, stride: 4}"},
      {"conv1d_dense_channels_cpu",
       "{name: c, type: Conv1d, out_channels: 53, kernel_size: 4, stride: 3}",
       1e-5},  // how a sum is added up depends on how many columns share its block
      {"conv1d_winograd_cpu",
       "{name: c, type: Conv1d, out_channels: 53, kernel_size: 5, padding: 4}"},
      {"conv1d_winograd_cpu",
       "{name: c, type: Conv1d, out_channels: 53, kernel_size: 8, stride: 4}"},
      {"conv1d_rows_cpu", "{name: c, type: Conv1d, out_channels: 32, kernel_size: 9, groups: 32}"},
      {"conv1d_fft_cpu", "{name: c, type: Conv1d, out_channels: 32, kernel_size: 201, groups: 32}"},
  };
  for (const int64_t length : {203, 2001}) {
    const Tensor input = random_tensor({2, 32, length}, 1);
    for (const auto& c : cases) {
      const Tensor expected = run_with(1, c.kernel, c.layer, input);
      for (const int threads : {2, 3, 16}) {
        CAPTURE(std::string(c.layer));
        CAPTURE(length);
        CAPTURE(threads);
        CHECK(max_difference(run_with(threads, c.kernel, c.layer, input), expected) <= c.tolerance);
      }
    }
  }
}

}  // namespace engine::test
