#include "apps/engine/conv1d_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/engine/conv1d_trial.h"
#include "apps/engine/text_format.h"

namespace engine::cli {
namespace {

// Below this the launch decides, not the machine's ceilings: left out of means.
constexpr double kLeastRoofline = 10e-6;
// A choice this close to the best measured kernel is a good one.
constexpr double kGoodChoice = 1.10;

double roofline_seconds(const Conv1dReport& report, const Conv1dProblem& p) {
  return report.ceilings.roofline_seconds(p.flops(), compulsory_bytes(p), p.precision);
}

std::string ceilings_text(const Conv1dReport& report) {
  std::string text =
      fmt::format("copy {:.0f} GB/s; {}", report.ceilings.copy_bytes_per_second / 1e9,
                  report.machine.device.is_cuda() ? "matrix products" : "multiply-adds");
  for (const auto& [precision, rate] : report.ceilings.flops_per_second) {
    text += fmt::format(" {} {:.4g}", to_string(precision), rate / 1e12);
  }
  return text + " TFLOP/s\n";
}

// The measurements of one problem in one precision.
using Group = std::vector<const Conv1dMeasurement*>;

std::vector<Group> group_by_problem(const std::vector<Conv1dMeasurement>& measurements) {
  std::vector<Group> groups;
  for (const Conv1dMeasurement& m : measurements) {
    const bool is_new = groups.empty() || groups.back()[0]->name != m.name ||
                        groups.back()[0]->problem.precision != m.problem.precision;
    if (is_new) groups.emplace_back();
    groups.back().push_back(&m);
  }
  return groups;
}

std::string means_text(const Conv1dReport& report) {
  struct Sum {
    double logarithms = 0.0;
    int count = 0;
  };
  std::map<Precision, Sum> sums;
  for (const Conv1dMeasurement& m : report.measurements) {
    if (!m.is_chosen || roofline_seconds(report, m.problem) < kLeastRoofline) continue;
    Sum& sum = sums[m.problem.precision];
    sum.logarithms += std::log(roofline_share(report, m));
    ++sum.count;
  }
  std::string text;
  for (const auto& [precision, sum] : sums) {
    text += fmt::format(
        "{}: {:.1f} % of the roofline, geometric mean of {} cases whose roofline is at least "
        "{:.0f} us\n",
        to_string(precision), 100.0 * std::exp(sum.logarithms / sum.count), sum.count,
        kLeastRoofline * 1e6);
  }
  return text;
}

std::string choices_text(const Conv1dReport& report) {
  const auto faster = [](const Conv1dMeasurement* a, const Conv1dMeasurement* b) {
    return a->seconds < b->seconds;
  };
  int total = 0, good = 0;
  std::string misses;
  for (const Group& group : group_by_problem(report.measurements)) {
    if (group.size() < 2) continue;
    const auto* best = *std::min_element(group.begin(), group.end(), faster);
    const auto chosen =
        std::find_if(group.begin(), group.end(), [](auto* m) { return m->is_chosen; });
    if (chosen == group.end()) continue;
    ++total;
    if ((*chosen)->seconds <= kGoodChoice * best->seconds) {
      ++good;
      continue;
    }
    misses += fmt::format("  {} {}: chosen {} {:.4f} ms, best {} {:.4f} ms\n", best->name,
                          to_string(best->problem.precision), (*chosen)->kernel,
                          (*chosen)->seconds * 1e3, best->kernel, best->seconds * 1e3);
  }
  if (total == 0) return "";
  return fmt::format("the chosen kernel is within 10 % of the best on {} of {} ({:.1f} %)\n{}",
                     good, total, 100.0 * good / total, misses);
}

}  // namespace

double roofline_share(const Conv1dReport& report, const Conv1dMeasurement& measured) {
  return roofline_seconds(report, measured.problem) / measured.seconds;
}

std::string report_head(Conv1dReport& report, const std::vector<Conv1dCase>& cases) {
  report.name_width = 4;
  for (const Conv1dCase& one : cases) {
    report.name_width = std::max(report.name_width, one.name.size());
  }
  std::string text = report.machine.name;
  if (!report.machine.device.is_cuda()) text += fmt::format(", {} threads", report.threads);
  text += "; " + ceilings_text(report) + "\n";
  const std::string heading =
      fmt::format("{:<{}}  prec  {:>10}  {:>7}  {:>5}  {:>8}  {:>7}  kernel", "case",
                  report.name_width, "ms", "TFLOP/s", "GB/s", "roofline", "error");
  return text + heading + "\n" + std::string(heading.size(), '-') + "\n";
}

std::string report_line(const Conv1dReport& report, const Conv1dMeasurement& m) {
  return fmt::format("{:<{}}  {}  {:>10.4f}  {:>7.2f}  {:>5.0f}  {:>6.1f} %  {:>7.1e}  {}{}\n",
                     m.name, report.name_width, to_string(m.problem.precision), m.seconds * 1e3,
                     m.problem.flops() / m.seconds / 1e12,
                     compulsory_bytes(m.problem) / m.seconds / 1e9,
                     100.0 * roofline_share(report, m), m.relative_error, m.kernel,
                     m.is_chosen ? "" : " (not chosen)");
}

std::string report_tail(const Conv1dReport& report) {
  return "\n" + means_text(report) + choices_text(report);
}

std::string report_csv(const Conv1dReport& report) {
  std::string text =
      "name,batch,in_channels,out_channels,kernel_size,stride,padding,dilation,groups,length,"
      "transposed,precision,kernel,chosen,ms,predicted_ms,tflops,gbps,roofline_ms,roofline_share,"
      "relative_error,copy_gbps,matrix_tflops,device\n";
  for (const Conv1dMeasurement& m : report.measurements) {
    const Conv1dProblem& p = m.problem;
    text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},", m.name, p.batch, p.in_channels,
                        p.out_channels, p.kernel_size, p.stride, p.pad_left, p.dilation, p.groups,
                        p.in_length, p.transposed ? 1 : 0);
    text += fmt::format(
        "{},{},{},{:.6f},{:.6f},{:.3f},{:.1f},{:.6f},{:.4f},{:.3e},{:.1f},{:.2f},{}\n",
        to_string(p.precision), m.kernel, m.is_chosen ? 1 : 0, m.seconds * 1e3,
        m.predicted_seconds * 1e3, p.flops() / m.seconds / 1e12,
        compulsory_bytes(p) / m.seconds / 1e9, roofline_seconds(report, p) * 1e3,
        roofline_share(report, m), m.relative_error, report.ceilings.copy_bytes_per_second / 1e9,
        report.ceilings.flops_per_second.at(p.precision) / 1e12, report.machine.name);
  }
  return text;
}

std::string report_json(const Conv1dReport& report) {
  nlohmann::ordered_json json{{"device", to_string(report.machine.device)},
                              {"name", report.machine.name},
                              {"copy_bytes_per_second", report.ceilings.copy_bytes_per_second}};
  for (const auto& [precision, rate] : report.ceilings.flops_per_second) {
    json["matrix_flops_per_second"][to_string(precision)] = rate;
  }
  json["measurements"] = nlohmann::ordered_json::array();
  for (const Conv1dMeasurement& m : report.measurements) {
    json["measurements"].push_back({{"name", m.name},
                                    {"problem", to_string(m.problem)},
                                    {"precision", to_string(m.problem.precision)},
                                    {"kernel", m.kernel},
                                    {"chosen", m.is_chosen},
                                    {"seconds", m.seconds},
                                    {"predicted_seconds", m.predicted_seconds},
                                    {"flops", m.problem.flops()},
                                    {"bytes", compulsory_bytes(m.problem)},
                                    {"roofline_seconds", roofline_seconds(report, m.problem)},
                                    {"roofline_share", roofline_share(report, m)},
                                    {"relative_error", m.relative_error}});
  }
  return json.dump(2) + "\n";
}

}  // namespace engine::cli
