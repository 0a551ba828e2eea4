#include "lab/kernel_timing.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "lab/layer_check.h"

namespace braid::lab {
namespace {

constexpr int32_t kFewestLayers = 4;
constexpr int32_t kMostLayers = 64;
constexpr int32_t kLayersWithoutWeights = 16;
// Layers are gone through again until a replay has so many, so that its start doesn't count.
constexpr int32_t kFewestInAReplay = 32;
constexpr uint8_t kPoison = 0xff;

// Bytes of a result, and what they are.
struct ResultBytes {
  std::string name;
  Format format = Format::f32;
  int64_t cols = 0;
  std::vector<std::byte> bytes;
};

// The programs of a case on one device, with their memory.
class Rig {
 public:
  Rig(const KernelCase& kernel, const KernelSetting& setting, ranks::Backend& backend, Format dtype)
      : kernel_(kernel), setting_(setting), backend_(backend), dtype_(dtype) {}
  ~Rig() {
    for (const auto& program : programs_) backend_.release(program->bound);
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  // Compiles a form's `layers`, `rounds` times in turn. The program's index, and the work of one
  // layer in `work`.
  Result<size_t> add(const KernelForm& form, int32_t layers, int32_t rounds, bool results,
                     flow::Work& work) {
    ops::Builder builder(operands_.residents());
    KernelLayer::Common common;
    for (int32_t i = 0; i < rounds * layers; ++i) {
      KernelLayer layer(builder, operands_, setting_, common, i % layers, dtype_, results);
      work = form.build(layer);
    }
    flow::Program rewritten = TRY(std::move(builder).finish());
    if (form.rewrite != nullptr) rewritten = TRY(rewrite(form, std::move(rewritten)));
    auto program = std::make_unique<Bound>();
    const flow::LauncherTable& table = backend_.table();
    program->schedule = TRY(flow::compile(std::move(rewritten), table.scratch(), table.overlaps()));
    TRY(flow::check_schedule(program->schedule));
    programs_.push_back(std::move(program));
    return programs_.size() - 1;
  }

  Status allocate() {
    flow::Residents& residents = operands_.residents();
    memory_ = TRY(flow::allocate(residents, backend_.device(), backend_.host()));
    int64_t bytes = 1;
    for (const auto& program : programs_) {
      bytes = std::max(bytes, program->schedule.workspace_bytes);
    }
    arena_ = TRY(backend_.device().allocate(bytes));
    for (const auto& program : programs_) {
      program->bound =
          TRY(flow::bind(program->schedule, backend_.table(), residents, arena_.data()));
    }
    return operands_.fill(backend_.device(), backend_.table());
  }

  Result<std::string> capture(size_t program) {
    return backend_.capture(programs_[program]->bound);
  }

  // Runs a program `repeats` times, and waits.
  Status run(size_t program, int64_t repeats) {
    for (int64_t i = 0; i < repeats; ++i) {
      last_ = backend_.executor().submit(programs_[program]->bound,
                                         {.step = step_++, .after = {&last_, 1}});
    }
    return backend_.executor().wait(last_);
  }

  // What a program leaves in its results, which were poisoned before.
  Result<std::vector<ResultBytes>> results_of(size_t program) {
    device::Device& device = backend_.device();
    device.fill(arena_.data(), kPoison, arena_.bytes());
    const flow::Residents& residents = operands_.residents();
    std::vector<int32_t> indices;
    for (int32_t i = 0; i < residents.size(); ++i) {
      if (!residents[i].name.starts_with(kResultPrefix)) continue;
      indices.push_back(i);
      device.fill(residents.data(i), kPoison, residents[i].bytes());
    }
    TRY(run(program, 1));
    std::vector<ResultBytes> results;
    for (const int32_t i : indices) {
      const flow::Resident& from = residents[i];
      ResultBytes& to = results.emplace_back(
          ResultBytes{from.name, from.format, from.cols,
                      std::vector<std::byte>(static_cast<size_t>(from.bytes()))});
      device.download(to.bytes.data(), residents.data(i), from.bytes());
    }
    return results;
  }

  int64_t resident_bytes() const {
    const flow::Residents& residents = operands_.residents();
    return residents.bytes(flow::Lifetime::weight) + residents.bytes(flow::Lifetime::carried);
  }

 private:
  // As in a decode step of so many rows.
  Result<flow::Program> rewrite(const KernelForm& form, flow::Program program) {
    const layers::RowCounts counts{.decode = static_cast<int32_t>(setting_.size("rows"))};
    const passes::PassOptions options;
    passes::Decisions why;
    return form.rewrite(std::move(program), {.options = options,
                                             .residents = operands_.residents(),
                                             .decisions = why,
                                             .shape = {.own = counts, .group = counts}});
  }

  struct Bound {
    flow::Schedule schedule;
    flow::BoundSchedule bound;
  };

  const KernelCase& kernel_;
  const KernelSetting& setting_;
  ranks::Backend& backend_;
  Format dtype_;
  KernelOperands operands_;
  std::vector<std::unique_ptr<Bound>> programs_;
  std::vector<device::Memory> memory_;
  device::Memory arena_;
  flow::Ticket last_ = 0;
  int64_t step_ = 0;
};

// Bytes that every layer has for itself.
Result<int64_t> bytes_of_a_layer(const KernelCase& kernel, const KernelSetting& setting,
                                 ranks::Backend& backend, Format dtype) {
  std::array<int64_t, 2> bytes{};
  for (int32_t layers = 1; layers <= 2; ++layers) {
    Rig rig(kernel, setting, backend, dtype);
    flow::Work work;
    TRY(rig.add(kernel.forms.front(), layers, 1, false, work));
    bytes[static_cast<size_t>(layers) - 1] = rig.resident_bytes();
  }
  return bytes[1] - bytes[0];
}

int32_t layers_for(int64_t layer_bytes, int64_t cold_bytes) {
  if (layer_bytes == 0) return kLayersWithoutWeights;
  const int64_t layers = (cold_bytes + layer_bytes - 1) / layer_bytes;
  return static_cast<int32_t>(std::clamp<int64_t>(layers, kFewestLayers, kMostLayers));
}

double share_that_differs(const ResultBytes& got, const ResultBytes& want) {
  const auto* a = reinterpret_cast<const int32_t*>(got.bytes.data());
  const auto* b = reinterpret_cast<const int32_t*>(want.bytes.data());
  const size_t count = got.bytes.size() / sizeof(int32_t);
  size_t different = 0;
  for (size_t i = 0; i < count; ++i) different += a[i] != b[i] ? 1 : 0;
  return static_cast<double>(different) / static_cast<double>(count);
}

double error_of(const ResultBytes& got, const ResultBytes& want) {
  if (got.format == Format::i32) return share_that_differs(got, want);
  return relative_error(to_floats(got.bytes, got.format), to_floats(want.bytes, want.format),
                        got.cols)
      .all;
}

class KernelBench {
 public:
  KernelBench(const KernelCase& kernel, const KernelSetting& setting, ranks::Backend& backend,
              const KernelBenchOptions& options)
      : kernel_(kernel), setting_(setting), options_(options), backend_(backend) {}

  Result<KernelReport> run() {
    report_.setting = setting_.to_string();
    report_.layer_bytes = TRY(bytes_of_a_layer(kernel_, setting_, backend_, options_.dtype));
    report_.layers = layers_for(report_.layer_bytes, options_.cold_bytes);
    rounds_ = (kFewestInAReplay + report_.layers - 1) / report_.layers;
    Rig rig(kernel_, setting_, backend_, options_.dtype);
    std::vector<size_t> chains, checks;
    for (const KernelForm& form : kernel_.forms) {
      if (form.applies != nullptr && !form.applies(setting_)) continue;
      KernelTiming& timing = report_.forms.emplace_back();
      timing.form = form.name;
      checks.push_back(TRY(rig.add(form, 1, 1, true, timing.work)));
      chains.push_back(TRY(rig.add(form, report_.layers, rounds_, false, timing.work)));
    }
    TRY(rig.allocate());
    const std::vector<ResultBytes> want = TRY(reference());
    for (size_t i = 0; i < checks.size(); ++i) TRY(check(rig, checks[i], want, report_.forms[i]));
    for (size_t i = 0; i < chains.size(); ++i) {
      report_.forms[i].captured = TRY(rig.capture(chains[i]));
    }
    TRY(time(rig, chains));
    return std::move(report_);
  }

 private:
  // What the first form gives on the CPU in float32.
  Result<std::vector<ResultBytes>> reference() {
    const auto cpu = TRY(ranks::make_cpu_backend());
    Rig rig(kernel_, setting_, *cpu, Format::f32);
    flow::Work work;
    KernelForm serial = kernel_.forms.front();
    serial.rewrite = nullptr;
    const size_t program = TRY(rig.add(serial, 1, 1, true, work));
    TRY(rig.allocate());
    return rig.results_of(program);
  }

  Status check(Rig& rig, size_t program, const std::vector<ResultBytes>& want,
               KernelTiming& timing) {
    const std::vector<ResultBytes> got = TRY(rig.results_of(program));
    const std::vector<ResultBytes> again = TRY(rig.results_of(program));
    for (size_t i = 0; i < got.size(); ++i) {
      const double error = error_of(got[i], want[i]);
      const bool same = got[i].bytes == again[i].bytes;
      if (same && error <= kKernelErrorBound) {
        timing.error = std::max(timing.error, error);
        continue;
      }
      return Error(ErrorKind::internal, same ? "a kernel's result is not the reference's"
                                             : "two runs of a kernel give different bits")
          .with("kernel", timing.form)
          .with("at", report_.setting)
          .with("of", got[i].name)
          .with("relative error", error)
          .with("bound", kKernelErrorBound);
    }
    return {};
  }

  Result<double> sample(Rig& rig, size_t chain, int64_t repeats) {
    const auto start = std::chrono::steady_clock::now();
    TRY(rig.run(chain, repeats));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    return took.count() / static_cast<double>(repeats * rounds_ * report_.layers);
  }

  Status time(Rig& rig, const std::vector<size_t>& chains) {
    std::vector<int64_t> repeats;
    for (const size_t chain : chains) {
      TRY(sample(rig, chain, 2));  // warms up
      const double once = TRY(sample(rig, chain, 3)) * rounds_ * report_.layers;
      repeats.push_back(std::clamp<int64_t>(std::llround(options_.sample_seconds / once), 1, 1000));
    }
    std::vector<std::vector<double>> samples(chains.size());
    std::vector<size_t> order(chains.size());
    std::iota(order.begin(), order.end(), 0);
    std::mt19937_64 random(options_.seed);
    for (int64_t round = 0; round < options_.rounds; ++round) {
      std::shuffle(order.begin(), order.end(), random);
      for (const size_t i : order) {
        samples[i].push_back(TRY(sample(rig, chains[i], repeats[i])));
      }
    }
    for (size_t i = 0; i < chains.size(); ++i) report_.forms[i].seconds = estimate(samples[i]);
    return {};
  }

  const KernelCase& kernel_;
  const KernelSetting& setting_;
  const KernelBenchOptions& options_;
  ranks::Backend& backend_;
  KernelReport report_;
  int32_t rounds_ = 1;  // of all layers, in a replay
};

}  // namespace

Result<KernelReport> bench_kernel(const KernelCase& kernel, const KernelSetting& setting,
                                  ranks::Backend& backend, const KernelBenchOptions& options) {
  return KernelBench(kernel, setting, backend, options).run();
}

}  // namespace braid::lab
