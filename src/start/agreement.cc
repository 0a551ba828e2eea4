#include "start/agreement.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/options_table.h"
#include "base/text_parts.h"
#include "comm/control/message.h"
#include "model/fingerprint.h"

namespace braid::start {
namespace {

// All ranks of a host have the same one, in all namespaces.
std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

std::string to_text(const EngineNeeds& needs) {
  const model::Probes& probes = needs.probes;
  return fmt::format("{}:{}:{}:{:d}:{:d}:{:d}:{:d}:{:d}:{:d}:{:d}", needs.context_length,
                     needs.max_running, needs.prefill_rows, probes.all_logits, probes.hidden,
                     probes.routing, probes.force_routing, needs.expert_heat, needs.engine,
                     needs.extended_sampling);
}

Result<EngineNeeds> parse_needs(const std::string& text) {
  std::vector<int64_t> numbers;
  for (const std::string_view part : split(text, ':')) numbers.push_back(TRY(parse_number(part)));
  if (numbers.size() != 10) {
    return Error(ErrorKind::fault, "the control plane brought no needs").with("text", text);
  }
  return EngineNeeds{.context_length = numbers[0],
                     .max_running = numbers[1],
                     .prefill_rows = numbers[2],
                     .probes = {.all_logits = numbers[3] != 0,
                                .hidden = numbers[4] != 0,
                                .routing = numbers[5] != 0,
                                .force_routing = numbers[6] != 0},
                     .expert_heat = numbers[7] != 0,
                     .extended_sampling = numbers[9] != 0,
                     .engine = numbers[8] != 0};
}

// The first line of `text` that differs from the line of `other` at the same place.
std::string first_difference(std::string_view text, std::string_view other) {
  const auto at = std::mismatch(text.begin(), text.end(), other.begin(), other.end()).first;
  const auto place = static_cast<size_t>(at - text.begin());
  const size_t begin = place == 0 ? 0 : text.rfind('\n', place - 1) + 1;
  return std::string(text.substr(begin, text.find('\n', begin) - begin));
}

// One line for each file that may differ between hosts.
std::string fingerprints(const ParsedOptions& options) {
  const std::string& folder = options.text("model");
  std::string text =
      fmt::format("config.json {}\n", model::fingerprint_of_file(folder + "/config.json"));
  if (options.text("load-format") != "dummy") {
    text += fmt::format("headers of the weights {}\n", model::fingerprint_of_headers(folder));
  }
  for (const char* file : {"expert-placement", "tuning"}) {
    if (!options.has(file)) continue;
    text +=
        fmt::format("content of --{} {}\n", file, model::fingerprint_of_file(options.text(file)));
  }
  return text;
}

}  // namespace

std::string setting_of(const ParsedOptions& options, const model::ModelConfig& config) {
  std::string text =
      fmt::format("model {}, {} layers, {} columns, vocabulary {}\n", config.family->class_name,
                  config.num_layers, config.hidden_size, config.vocab_size);
  for (const OptionSpec& spec : braid_options().options()) {
    const bool of_a_host =
        spec.name == "model" || spec.name == "node-rank" || spec.name.starts_with("job-secret");
    const bool decides = spec.group == "Model" || spec.group == "Engine" || spec.group == "Ranks" ||
                         spec.group == "Experts on several ranks" || spec.group == "Overlap" ||
                         spec.name == "expert-heat";
    if (!decides || of_a_host || !options.has(spec.name)) continue;
    const std::vector<std::string> values = options.values(spec.name);
    text += fmt::format("--{} {}\n", spec.name, values.empty() ? "" : values.front());
  }
  return text + fingerprints(options);
}

Result<Agreed> agree(comm::ControlPlane& control, const std::string& setting,
                     const EngineNeeds& needs) {
  const std::string host = host_name();
  // Rank 0 may wait for a person who types a prompt.
  const std::string own = comm::pack({setting, host, to_text(needs)});
  const std::vector<std::string> all =
      TRY(control.rank() == 0 ? control.all_gather(own)
                              : control.all_gather(own, comm::ControlPlane::kForever));
  Agreed agreed;
  agreed.ranks_here = 0;
  std::string first;
  for (size_t rank = 0; rank < all.size(); ++rank) {
    const std::vector<std::string> parts = TRY(comm::unpack(all[rank]));
    BRAID_CHECK(parts.size() == 3, "({} parts)", parts.size());
    if (rank == 0) first = parts[0];
    if (rank == 0) agreed.needs = TRY(parse_needs(parts[2]));
    agreed.ranks_here += parts[1] == host ? 1 : 0;
    if (parts[0] == first) continue;
    return Error(ErrorKind::usage, "ranks are started with different options or models")
        .with("rank 0", first_difference(first, parts[0]))
        .with(fmt::format("rank {}", rank), first_difference(parts[0], first))
        .remedy("Give all of them the same model and options.");
  }
  return agreed;
}

Result<int32_t> agree_on_blocks(comm::ControlPlane& control, int32_t blocks) {
  const std::vector<std::string> all = TRY(control.all_gather(fmt::format("{}", blocks)));
  for (const std::string& text : all) blocks = std::min(blocks, std::atoi(text.c_str()));
  return blocks;
}

}  // namespace braid::start
