// engine devices: what can be given as --device.
#include <fmt/format.h>

#include "apps/engine/commands.h"
#include "apps/engine/console.h"
#include "apps/engine/table.h"
#include "apps/engine/text_format.h"
#include "engine/cuda/runtime.h"
#include "engine/device.h"

namespace engine::cli {
namespace {

void list() {
  Table table({{"device"},
               {"name"},
               {"memory", Table::Align::kRight},
               {"multiprocessors", Table::Align::kRight},
               {"architecture"}});
  for (const DeviceInfo& info : list_devices()) {
    const std::string units =
        fmt::format("{}{}", info.multiprocessors, info.device.is_cuda() ? "" : " threads");
    const std::string architecture =
        info.device.is_cuda() ? fmt::format("sm_{}", info.compute_capability) : "";
    table.add_row({to_string(info.device), info.name,
                   si(static_cast<double>(info.memory_bytes), "B"), units, architecture});
  }
  print(table.to_string());
  if (cuda::device_count() == 0) note(cuda::why_no_device());
}

}  // namespace

void add_devices_command(CLI::App& app, int&) {
  CLI::App* command = app.add_subcommand("devices", "List what can be given as --device");
  command->footer("Example:\n  engine devices");
  command->callback(list);
}

}  // namespace engine::cli
