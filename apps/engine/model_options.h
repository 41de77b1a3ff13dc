// The options that all commands on a model share, and the model that they load.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/model/model_spec.h"

namespace engine::cli {

struct ModelOptions {
  std::string model;
  std::string device = "auto";
  std::string precision = "fp32";
  int threads = 0;
  bool no_fuse = false;
  bool check_finite = false;
  std::string kernel;
};

/// Named sizes as --size gives them.
using Sizes = std::map<std::string, int64_t>;

/// MODEL.
void add_model_argument(CLI::App& command, ModelOptions& options);
/// MODEL, --device, --precision, --threads, --no-fuse and --kernel.
void add_model_options(CLI::App& command, ModelOptions& options);
/// --device alone.
void add_device_option(CLI::App& command, std::string& device);
/// --threads alone.
void add_threads_option(CLI::App& command, int& threads);
/// --no-fuse alone.
void add_no_fuse_option(CLI::App& command, bool& no_fuse);
/// --kernel alone.
void add_kernel_option(CLI::App& command, std::string& kernel);
/// --size NAME=NUMBER, any number of times.
void add_size_option(CLI::App& command, Sizes& sizes);

/// Accepts what Device::parse can read, whether or not that GPU is there.
CLI::Validator device_name();
/// Accepts what parse_precision can read.
CLI::Validator precision_name();
/// Accepts the kernels that Conv1d layers choose from, on any device.
CLI::Validator kernel_name();

struct LoadedModel {
  ModelSpec spec;
  Engine engine;
};

/// Reads the model and its weights; notes where the weights are random.
LoadedModel load_model(const ModelOptions& options);

/// The model's typical input shapes, with `sizes` in place of the sizes they name. Throws Error for
/// a name that no input has.
std::vector<Shape> input_shapes(const Engine& engine, const Sizes& sizes);

}  // namespace engine::cli
