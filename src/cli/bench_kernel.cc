// braid bench kernel: one kernel at given sizes, cold, checked and timed in the same run.
#include <fmt/ranges.h>

#include "base/json.h"
#include "cli/commands.h"
#include "lab/kernel_timing.h"
#include "start/asked_options.h"
#include "start/rank_setting.h"

namespace braid::cli {
namespace {

// On the CPU nothing is larger than what its caches may hold by much.
constexpr int64_t kCpuColdBytes = int64_t{32} << 20;

std::string describe(const std::vector<lab::KernelParameter>& parameters) {
  std::vector<std::string> texts;
  for (const lab::KernelParameter& parameter : parameters) {
    texts.push_back(parameter.choices.empty()
                        ? fmt::format("{}={}", parameter.name, parameter.standard)
                        : fmt::format("{}={}", parameter.name, fmt::join(parameter.choices, "|")));
  }
  return fmt::format("{}", fmt::join(texts, " "));
}

std::string list_of_kernels() {
  std::string text;
  for (const lab::KernelCase& kernel : lab::kernel_cases()) {
    std::vector<std::string_view> forms;
    for (const lab::KernelForm& form : kernel.forms) forms.push_back(form.name);
    text += fmt::format("{}: {}\n  --shape {}\n", kernel.name, kernel.help, describe(kernel.sizes));
    if (!kernel.configuration.empty()) {
      text += fmt::format("  --kernel-config {}\n", describe(kernel.configuration));
    }
    if (forms.size() > 1) text += fmt::format("  measured: {}\n", fmt::join(forms, ", "));
  }
  return text;
}

// What a profile says that the work takes at least, and whether that is its arithmetic's time.
struct Ceiling {
  double seconds = 0;
  bool by_arithmetic = false;
};

Ceiling ceiling_of(const flow::Work& work, const cost::DeviceProfile& profile) {
  const double of_memory = work.bytes / profile.bytes_per_second;
  const double of_arithmetic = work.flop / profile.flop_per_second;
  return {std::max(of_memory, of_arithmetic), of_arithmetic > of_memory};
}

std::string table(const lab::KernelReport& report, const cost::DeviceProfile& profile) {
  std::string text = fmt::format("{} ({} layers of {})\n", report.setting, report.layers,
                                 format_bytes(static_cast<double>(report.layer_bytes)));
  text += fmt::format("{:<20} {:>24} {:>14} {:>11} {:>9}  {}\n", "kernel", "us [95 %]", "rate",
                      "of ceiling", "error", "replay");
  for (const lab::KernelTiming& timing : report.forms) {
    const Ceiling ceiling = ceiling_of(timing.work, profile);
    const double seconds = timing.seconds.median;
    const std::string rate = ceiling.by_arithmetic
                                 ? fmt::format("{:.1f} TFLOP/s", timing.work.flop / seconds / 1e12)
                                 : fmt::format("{:.1f} GB/s", timing.work.bytes / seconds / 1e9);
    text += fmt::format("{:<20} {:>24} {:>14} {:>9.0f} % {:>9.1e}  {}\n", timing.form,
                        fmt::format("{:.2f} [{:.2f}, {:.2f}]", 1e6 * seconds,
                                    1e6 * timing.seconds.low, 1e6 * timing.seconds.high),
                        rate, 100 * ceiling.seconds / seconds, timing.error, timing.captured);
  }
  return text;
}

Json to_json(const std::string& kernel, const lab::KernelReport& report,
             const cost::DeviceProfile& profile) {
  Json forms = Json::array();
  for (const lab::KernelTiming& timing : report.forms) {
    forms.push_back(
        {{"name", timing.form},
         {"seconds", timing.seconds.median},
         {"seconds_low", timing.seconds.low},
         {"seconds_high", timing.seconds.high},
         {"bytes", timing.work.bytes},
         {"flop", timing.work.flop},
         {"share_of_ceiling", ceiling_of(timing.work, profile).seconds / timing.seconds.median},
         {"error", timing.error},
         {"replay", timing.captured}});
  }
  return {{"kernel", kernel},        {"setting", report.setting},
          {"layers", report.layers}, {"layer_bytes", report.layer_bytes},
          {"profile", profile.name}, {"tuning", cost::hash_of(profile)},
          {"forms", forms}};
}

Result<std::unique_ptr<ranks::Backend>> backend_of(const ParsedOptions& options,
                                                   comm::ControlPlane& alone) {
  if (start::device_of(options) == ranks::DeviceKind::cpu) return ranks::make_cpu_backend();
  return ranks::make_cuda_backend({}, alone, {.overlap_kernels = options.text("pdl") != "off"});
}

}  // namespace

Result<Outcome> bench_kernel(const Context& context) {
  const ParsedOptions& options = context.options;
  if (options.flag("list")) {
    TRY(context.streams.out.write(list_of_kernels()));
    return Outcome::success;
  }
  if (!options.has("kernel")) {
    return Error(ErrorKind::usage, "which kernel is to be measured?")
        .remedy("Name one of those that braid bench kernel --list tells.");
  }
  const lab::KernelCase& kernel = *TRY(lab::find_kernel_case(options.text("kernel")));
  const bool cuda = start::device_of(options) == ranks::DeviceKind::cuda;
  const cost::DeviceProfile profile = TRY(
      start::profile_of(options, cuda ? cost::h100_profile() : cost::cpu_profile(), std::nullopt));
  lab::KernelBenchOptions how{.dtype = TRY(start::dtype_of(options)),
                              .rounds = options.integer("rounds"),
                              .seed = static_cast<uint64_t>(options.integer("seed"))};
  if (!cuda) how.cold_bytes = kCpuColdBytes;
  std::vector<std::string> shapes = options.texts("shape");
  if (shapes.empty()) shapes.emplace_back();
  comm::ControlPlane alone(-1, 0, 1);
  const auto backend = TRY(backend_of(options, alone));
  for (const std::string& shape : shapes) {
    std::vector<std::string> given = options.texts("kernel-config");
    if (!shape.empty()) given.push_back(shape);
    const lab::KernelSetting setting = TRY(lab::KernelSetting::parse(kernel.parameters(), given));
    const lab::KernelReport report = TRY(lab::bench_kernel(kernel, setting, *backend, how));
    TRY(context.streams.out.write(
        options.flag("json") ? to_json(std::string(kernel.name), report, profile).dump() + "\n"
                             : table(report, profile)));
  }
  return Outcome::success;
}

}  // namespace braid::cli
