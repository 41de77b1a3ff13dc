// engine bench: how long a model takes, and which layers take it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "apps/engine/bench_conv1d.h"
#include "apps/engine/bench_runner.h"
#include "apps/engine/chrome_trace.h"
#include "apps/engine/commands.h"
#include "apps/engine/console.h"
#include "apps/engine/model_options.h"
#include "apps/engine/plan_report.h"
#include "apps/engine/progress.h"
#include "apps/engine/table.h"
#include "apps/engine/text_format.h"

namespace engine::cli {
namespace {

using nlohmann::ordered_json;

struct BenchOptions {
  ModelOptions model;  // its precision is the first of `precisions`
  std::vector<std::string> precisions;
  Sizes sizes;
  int64_t runs = 0;  ///< 0: as many as fit into `seconds`
  double seconds = 2.0;
  double warmup = 0.5;
  bool json = false;
  std::string trace;
  Conv1dBenchOptions conv1d;
};

/// All times in seconds.
struct Measurement {
  std::vector<double> latencies;  ///< sorted
  double time_per_run = 0.0;      ///< of runs back to back
  std::vector<double> layers;     ///< median of each step of the plan
  double mean() const {
    return std::accumulate(latencies.begin(), latencies.end(), 0.0) /
           static_cast<double>(latencies.size());
  }
  /// The nearest-rank percentile.
  double percentile(double percent) const {
    const double rank = std::ceil(percent / 100.0 * static_cast<double>(latencies.size()));
    return latencies[static_cast<size_t>(std::max(rank, 1.0)) - 1];
  }
};

/// What follows from a measurement.
struct Rates {
  double inputs_per_second = 0.0;
  double flops_per_second = 0.0;
  std::optional<double> times_real_time;
};

void warm_up(BenchRunner& runner, double seconds) {
  const Progress progress("warming up");
  // The first run allocates, so there is always one.
  for (double spent = runner.run_once(); spent < seconds;) spent += runner.run_once();
}

std::vector<double> measure_latencies(BenchRunner& runner, const BenchOptions& options) {
  Progress progress("measuring");
  std::vector<double> latencies;
  double spent = 0.0;
  const auto fraction_done = [&] {
    return options.runs > 0
               ? static_cast<double>(latencies.size()) / static_cast<double>(options.runs)
               : spent / options.seconds;
  };
  do {
    latencies.push_back(runner.run_once());
    spent += latencies.back();
    progress.set(std::min(1.0, fraction_done()));
  } while (fraction_done() < 1.0);
  std::sort(latencies.begin(), latencies.end());
  return latencies;
}

// Medians over as many runs as take about half a second.
std::vector<double> measure_layers(BenchRunner& runner, double time_per_run) {
  const Progress progress("measuring layers");
  constexpr double kSeconds = 0.5;
  const auto runs = static_cast<size_t>(std::clamp(kSeconds / time_per_run, 1.0, 101.0));
  std::vector<std::vector<double>> times(runner.plan().steps.size());
  for (size_t run = 0; run < runs; ++run) {
    const std::vector<double> seconds = runner.run_profiled();
    for (size_t i = 0; i < times.size(); ++i) times[i].push_back(seconds[i]);
  }
  std::vector<double> medians;
  for (std::vector<double>& time : times) {
    const auto middle = time.begin() + static_cast<int64_t>(time.size() / 2);
    std::nth_element(time.begin(), middle, time.end());
    medians.push_back(*middle);
  }
  return medians;
}

Measurement measure(BenchRunner& runner, const BenchOptions& options, Device device) {
  warm_up(runner, options.warmup);
  Measurement measured;
  measured.latencies = measure_latencies(runner, options);
  // A GPU works on the next run while the CPU waits for nothing; a CPU does one after the other.
  measured.time_per_run = measured.mean();
  if (device.is_cuda()) {
    const auto runs = static_cast<int64_t>(measured.latencies.size());
    measured.time_per_run = runner.run_back_to_back(runs) / static_cast<double>(runs);
  }
  measured.layers = measure_layers(runner, measured.time_per_run);
  return measured;
}

Rates rates_of(const Engine& engine, const Plan& plan, const Measurement& measured, int64_t flops) {
  const Shape& shape = plan.input_shapes[0];
  const double batch = shape.size() > 1 ? static_cast<double>(shape[0]) : 1.0;
  Rates rates{batch / measured.time_per_run, static_cast<double>(flops) / measured.time_per_run,
              std::nullopt};
  for (size_t i = 0; i < engine.inputs().size(); ++i) {
    const std::optional<double>& rate = engine.inputs()[i].sample_rate;
    if (!rate) continue;
    const double signal_seconds = static_cast<double>(plan.input_shapes[i].back()) / *rate;
    rates.times_real_time = rates.inputs_per_second * signal_seconds;
    break;
  }
  return rates;
}

std::string layer_table(const PlanReport& report, const std::vector<double>& seconds) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"layer"},
               {"type"},
               {"output"},
               {"time", kRight},
               {"share", kRight},
               {"FLOP/s", kRight},
               {"B/s", kRight},
               {"kernel"}});
  const double total = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  const auto rate = [](int64_t amount, double time) {
    return amount > 0 && time > 0.0 ? si(static_cast<double>(amount) / time, "") : "-";
  };
  for (size_t i = 0; i < report.layers.size(); ++i) {
    const LayerReport& layer = report.layers[i];
    const bool is_view = layer.bytes == 0;
    table.add_row({layer.name, layer.type, outputs_text(layer.outputs),
                   is_view ? "-" : si(seconds[i], "s"),
                   is_view ? "-" : fmt::format("{:.1f} %", 100.0 * seconds[i] / total),
                   rate(layer.flops, seconds[i]), rate(layer.bytes, seconds[i]), layer.kernel});
  }
  table.add_line();
  table.add_row({"total", "", "", si(total, "s"), "100.0 %", rate(report.flops, total),
                 rate(report.bytes, total), ""});
  return table.to_string();
}

std::string bench_text(const Engine& engine, const Plan& plan, const Measurement& measured) {
  const PlanReport report = report_plan(engine, plan);
  const Rates rates = rates_of(engine, plan, measured, report.flops);
  std::string text =
      plan_title(engine, plan) + "\n\n" + layer_table(report, measured.layers) + "\n";
  text += fmt::format("{:<17}p50 {}, p90 {}, p99 {} ({} runs)\n", "latency",
                      si(measured.percentile(50), "s"), si(measured.percentile(90), "s"),
                      si(measured.percentile(99), "s"),
                      grouped(static_cast<int64_t>(measured.latencies.size())));
  text += fmt::format("{:<17}{} inputs/s, {}\n", "throughput", rounded(rates.inputs_per_second),
                      si(rates.flops_per_second, "FLOP/s"));
  if (rates.times_real_time) {
    text += fmt::format("{:<17}{} x\n", "real time", rounded(*rates.times_real_time));
  }
  return text;
}

std::string bench_json(const Engine& engine, const Plan& plan, const Measurement& measured) {
  const PlanReport report = report_plan(engine, plan);
  const Rates rates = rates_of(engine, plan, measured, report.flops);
  ordered_json json = json_head(engine, plan);
  json["runs"] = measured.latencies.size();
  json["latency_seconds"] = {
      {"p50", measured.percentile(50)},    {"p90", measured.percentile(90)},
      {"p99", measured.percentile(99)},    {"mean", measured.mean()},
      {"min", measured.latencies.front()}, {"max", measured.latencies.back()}};
  json["inputs_per_second"] = rates.inputs_per_second;
  json["flops_per_second"] = rates.flops_per_second;
  json["times_real_time"] = nullptr;
  if (rates.times_real_time) json["times_real_time"] = *rates.times_real_time;
  json["layers"] = ordered_json::array();
  const double total = std::accumulate(measured.layers.begin(), measured.layers.end(), 0.0);
  for (size_t i = 0; i < report.layers.size(); ++i) {
    const LayerReport& layer = report.layers[i];
    json["layers"].push_back({{"name", layer.name},
                              {"type", layer.type},
                              {"kernel", layer.kernel},
                              {"seconds", measured.layers[i]},
                              {"share", measured.layers[i] / total},
                              {"flops", layer.flops},
                              {"bytes", layer.bytes}});
  }
  return json.dump(2) + "\n";
}

void run_bench(const BenchOptions& options) {
  const Engine engine = load_model(options.model).engine;
  BenchRunner runner(engine, input_shapes(engine, options.sizes));
  const Measurement measured = measure(runner, options, engine.options().device);
  if (!options.trace.empty()) {
    write_chrome_trace(options.trace, engine.name(), runner.plan(), runner.run_profiled());
  }
  print(options.json ? bench_json(engine, runner.plan(), measured)
                     : bench_text(engine, runner.plan(), measured));
}

bool is_conv1d(const BenchOptions& options) {
  return !options.conv1d.suite.empty() || options.conv1d.random > 0;
}

int dispatch(BenchOptions& options, bool seconds_given) {
  if (is_conv1d(options)) {
    Conv1dBenchOptions& conv1d = options.conv1d;
    conv1d.device = options.model.device;
    conv1d.precisions = options.precisions;
    conv1d.threads = options.model.threads;
    conv1d.kernel = options.model.kernel;
    conv1d.json = options.json;
    if (seconds_given) conv1d.seconds = options.seconds;
    return run_conv1d_bench(conv1d);
  }
  if (!options.conv1d.shapes.empty() || options.conv1d.all_kernels || !options.conv1d.csv.empty()) {
    throw CLI::ValidationError("--shape, --all-kernels and --csv", "need --conv1d or --random");
  }
  if (options.model.model.empty()) throw CLI::RequiredError("MODEL, --conv1d or --random");
  if (options.precisions.size() > 1) {
    throw CLI::ValidationError("--precision", "a model is measured in one at a time");
  }
  if (!options.precisions.empty()) options.model.precision = options.precisions[0];
  run_bench(options);
  return 0;
}

void add_model_bench_options(CLI::App& command, BenchOptions& options) {
  const CLI::Validator time = CLI::Range(0.0, 86400.0).description("");
  CLI::Option* seconds =
      command
          .add_option("--seconds", options.seconds,
                      "Measure for this long [default: 2; with --conv1d 0.1 for each kernel]")
          ->type_name("S")
          ->check(time);
  command.add_option("--runs", options.runs, "Measure this many runs instead")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, INT64_MAX).description(""))
      ->excludes(seconds);
  command.add_option("--warmup", options.warmup, "Seconds of runs before measuring")
      ->type_name("S")
      ->check(time)
      ->capture_default_str();
  command.add_flag("--json", options.json, "As JSON");
  command.add_option("--trace", options.trace, "Write one run as a trace for chrome://tracing")
      ->type_name("FILE.json");
}

// What --conv1d and --random need or exclude.
void add_conv1d_bench_options(CLI::App& command, Conv1dBenchOptions& options) {
  const std::string group = "Conv1d alone";
  CLI::Option* suite =
      command
          .add_option("--conv1d", options.suite,
                      "Measure the Conv1d kernels on the cases of this file, such as "
                      "bench/conv1d_gpu.csv, in place of a model")
          ->type_name("SUITE.csv")
          ->group(group);
  CLI::Option* random =
      command.add_option("--random", options.random, "Measure on that many random cases (too)")
          ->type_name("N")
          ->check(CLI::Range(int64_t{1}, int64_t{1} << 20).description(""))
          ->group(group);
  for (const char* name : {"MODEL", "--size", "--runs", "--warmup", "--trace", "--no-fuse"}) {
    suite->excludes(command.get_option(name));
    random->excludes(command.get_option(name));
  }
  command.add_option("--seed", options.seed, "Of random cases and of all data")
      ->type_name("N")
      ->capture_default_str()
      ->group(group);
  command.add_option("--shape", options.shapes, "Only the cases of these names, by commas")
      ->type_name("NAMES")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(group);
  command
      .add_flag("--all-kernels", options.all_kernels,
                "Every kernel that can compute a case, not only the one that is chosen")
      ->group(group);
  command.add_option("--csv", options.csv, "Write the results there too")
      ->type_name("FILE.csv")
      ->group(group);
}

}  // namespace

void add_bench_command(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<BenchOptions>();
  CLI::App* command =
      app.add_subcommand("bench", "Measure how long a model, or Conv1d by itself, takes");
  add_model_argument(*command, options->model);
  command->get_option("MODEL")->required(false);
  add_device_option(*command, options->model.device);
  command
      ->add_option("--precision", options->precisions,
                   "Arithmetic on a GPU: fp32, tf32, fp16 or bf16; several by commas with --conv1d "
                   "[default: fp32; all with --conv1d]")
      ->type_name("NAME")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(precision_name());
  add_threads_option(*command, options->model.threads);
  add_no_fuse_option(*command, options->model.no_fuse);
  add_kernel_option(*command, options->model.kernel);
  add_size_option(*command, options->sizes);
  add_model_bench_options(*command, *options);
  add_conv1d_bench_options(*command, options->conv1d);
  command->footer(
      "Inputs are random and on the device. Latency is that of one run at a time, throughput that\n"
      "of runs back to back; the layers are measured in runs of their own. GPU times are taken "
      "with\n"
      "events on the stream. docs/benchmarks.md says how Conv1d is measured alone.\n"
      "Examples:\n"
      "  engine bench graphs/keywords.yaml\n"
      "  engine bench graphs/conv1d_headline.yaml --device cuda:0 --precision fp16 --runs 200\n"
      "  engine bench graphs/m5.yaml --size batch=8 --json --trace m5.json\n"
      "  engine bench --conv1d bench/conv1d_gpu.csv --precision tf32,fp16 --csv results.csv\n"
      "  engine bench --random 100 --seed 7 --all-kernels");
  command->callback([options, command, &exit_code] {
    exit_code = dispatch(*options, command->count("--seconds") > 0);
  });
}

}  // namespace engine::cli
