// What `engine bench --conv1d` measured, as text, CSV and JSON.
#pragma once

#include <string>
#include <vector>

#include "apps/engine/ceilings.h"
#include "apps/engine/conv1d_suite.h"
#include "engine/device.h"
#include "layers/conv1d/conv1d_problem.h"

namespace engine::cli {

/// One kernel on one problem.
struct Conv1dMeasurement {
  std::string name;
  Conv1dProblem problem;
  std::string kernel;
  bool is_chosen = true;  ///< the kernel that a layer would run
  double seconds = 0.0;
  double predicted_seconds = 0.0;
  double relative_error = 0.0;
};

struct Conv1dReport {
  DeviceInfo machine;
  int threads = 1;  ///< of the CPU
  Ceilings ceilings;
  std::vector<Conv1dMeasurement> measurements;
  size_t name_width = 0;  ///< columns of the text
};

/// The roofline's time over the measured one: 1 is as fast as the machine allows.
double roofline_share(const Conv1dReport& report, const Conv1dMeasurement& measured);

/// The machine, its ceilings, and the heading of the lines; sets the width of the name's column.
std::string report_head(Conv1dReport& report, const std::vector<Conv1dCase>& cases);
std::string report_line(const Conv1dReport& report, const Conv1dMeasurement& measured);
/// Geometric means by precision, and how good the choices were where others were measured too.
std::string report_tail(const Conv1dReport& report);

std::string report_csv(const Conv1dReport& report);
std::string report_json(const Conv1dReport& report);

}  // namespace engine::cli
