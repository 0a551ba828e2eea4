// Which ranks this process starts: from --nnodes, or from a launcher's environment variables.
#include <charconv>

#include "base/json.h"
#include "comm/control/tcp.h"
#include "start/rank_setting.h"

namespace braid::start {
namespace {

// One process a rank, started by a launcher.
struct Launched {
  std::string_view launcher;
  int rank = 0;
  int world = 0;
  int local_rank = 0;
  std::string address;  // empty: --dist-init-addr must say
};

std::optional<int> number_in(const Environment& environment, const std::string& name) {
  const std::optional<std::string> text = environment(name);
  if (!text) return std::nullopt;
  int number = 0;
  const auto [end, code] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (code != std::errc() || end != text->data() + text->size() || number < 0) return std::nullopt;
  return number;
}

// Reads three variables: a rank, the number of ranks, and the rank on its host.
std::optional<Launched> launched_by(std::string_view launcher, const Environment& environment,
                                    const std::array<std::string, 3>& names) {
  const auto rank = number_in(environment, names[0]), world = number_in(environment, names[1]),
             local = number_in(environment, names[2]);
  if (!rank || !world || !local || *world < 2) return std::nullopt;
  return Launched{launcher, *rank, *world, *local, {}};
}

std::optional<Launched> by_torchrun(const Environment& environment) {
  auto launched = launched_by("torchrun", environment, {"RANK", "WORLD_SIZE", "LOCAL_RANK"});
  const auto host = environment("MASTER_ADDR");
  const auto port = number_in(environment, "MASTER_PORT");
  if (!launched || !host || !port) return std::nullopt;
  // torchrun's agent may listen at this port itself.
  const bool taken = environment("TORCHELASTIC_USE_AGENT_STORE") == "True";
  launched->address = fmt::format("{}:{}", *host, *port + (taken ? 1 : 0));
  return launched;
}

std::optional<Launched> by_slurm(const Environment& environment) {
  auto launched =
      launched_by("Slurm", environment, {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"});
  if (!launched) return std::nullopt;
  const std::string host = first_host(environment("SLURM_JOB_NODELIST").value_or(""));
  const int job = number_in(environment, "SLURM_JOB_ID").value_or(0);
  if (!host.empty()) launched->address = fmt::format("{}:{}", host, 20000 + job % 10000);
  return launched;
}

std::optional<Launched> by_open_mpi(const Environment& environment) {
  return launched_by(
      "Open MPI", environment,
      {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"});
}

Status need_address(const comm::Node& node) {
  if (!node.address.empty()) {
    const comm::HostPort address = TRY(comm::parse_host_port(node.address));
    if (address.port.find_first_not_of('0') != address.port.npos) return {};
    return Error(ErrorKind::usage, "other hosts cannot connect to the first one at port 0")
        .with("address", node.address)
        .remedy("Give --dist-init-addr a port from 1 to 65535 that is free there.");
  }
  return Error(ErrorKind::usage, "the ranks don't know where to meet")
      .remedy("Give the address of the first host: --dist-init-addr HOST:PORT.");
}

constexpr size_t kLeastSecret = 16;  // characters

Result<std::string> secret_in(const std::string& file) {
  std::string text = TRY(read_file(file, 4096));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (text.size() >= kLeastSecret) return text;
  return Error(ErrorKind::usage, "the job's secret is too short")
      .with("--job-secret-file", file)
      .with("characters", text.size())
      .remedy("Make one of at least 16: openssl rand -hex 32 > FILE.");
}

// What the file of a job's secret is called: the same on all hosts.
std::string name_of_address(std::string address) {
  for (char& c : address) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!plain && c != '.' && c != '-') c = '_';
  }
  return address;
}

// What was given, torchrun's run id where it was made up and not just a small number, or a file in
// a home folder that the hosts share.
Result<comm::JobSecret> job_secret(const ParsedOptions& options, const Environment& environment,
                                   const std::string& address) {
  if (options.has("job-secret") && options.has("job-secret-file")) {
    return Error(ErrorKind::usage, "--job-secret and --job-secret-file are both given")
        .remedy("Leave one of them out.");
  }
  if (options.has("job-secret")) return comm::JobSecret{options.text("job-secret"), {}};
  if (options.has("job-secret-file")) {
    return comm::JobSecret{TRY(secret_in(options.text("job-secret-file"))), {}};
  }
  const std::string run = environment("TORCHELASTIC_RUN_ID").value_or("");
  if (run.size() >= kLeastSecret) return comm::JobSecret{run, {}};
  const auto cache = environment("XDG_CACHE_HOME"), home = environment("HOME");
  std::string folder = cache.value_or("");
  if (folder.empty() && home && !home->empty()) folder = *home + "/.cache";
  if (folder.empty()) {
    return Error(ErrorKind::usage, "the hosts of this job have no secret in common")
        .remedy("Give all of them the same --job-secret-file, or BRAID_JOB_SECRET.");
  }
  return comm::JobSecret{{}, fmt::format("{}/braid/job-{}", folder, name_of_address(address))};
}

Result<RankSetting> of_launched(const Launched& launched, const ParsedOptions& options,
                                const Environment& environment, RankSetting setting) {
  comm::Node& node = setting.node;
  if (launched.world != node.world) {
    return Error(ErrorKind::usage, "as many processes as ranks must be started")
        .with("started by", launched.launcher)
        .with("processes", launched.world)
        .with("ranks", node.world)
        .remedy("Let --tp and --dp make up as many ranks, or start one process alone.");
  }
  node.first_rank = launched.rank;
  node.first_local = launched.local_rank;
  node.ranks = 1;
  if (node.address.empty()) node.address = launched.address;
  TRY(need_address(node));
  node.secret = TRY(job_secret(options, environment, node.address));
  setting.processes = true;
  setting.why = fmt::format("{}: rank {} of {}, {} on its host; they meet at {}", launched.launcher,
                            launched.rank, launched.world, launched.local_rank, node.address);
  return setting;
}

Result<RankSetting> of_nodes(int nodes, const ParsedOptions& options,
                             const Environment& environment, RankSetting setting) {
  const auto node_rank = static_cast<int>(options.integer("node-rank"));
  comm::Node& node = setting.node;
  if (node_rank >= nodes || node.world % nodes != 0) {
    return Error(ErrorKind::usage, "the ranks can't be dealt out to these nodes")
        .with("ranks", node.world)
        .with("nnodes", nodes)
        .with("node-rank", node_rank)
        .remedy("--nnodes must divide the number of ranks, and --node-rank count from 0.");
  }
  TRY(need_address(node));
  node.secret = TRY(job_secret(options, environment, node.address));
  node.ranks = node.world / nodes;
  node.first_rank = node_rank * node.ranks;
  setting.processes = true;
  setting.why = fmt::format("node {} of {} (--nnodes): ranks {} to {}; they meet at {}", node_rank,
                            nodes, node.first_rank, node.first_rank + node.ranks - 1, node.address);
  return setting;
}

Result<RankSetting> of_one_host(const ParsedOptions& options, RankSetting setting) {
  if (options.has("dist-init-addr")) {
    return Error(ErrorKind::usage, "all ranks are on this host: they need no address")
        .with("--dist-init-addr", setting.node.address)
        .remedy("Give --nnodes too, or leave it out.");
  }
  const int world = setting.node.world;
  const bool cuda = device_of(options) == ranks::DeviceKind::cuda;
  const bool asked = options.text("cpu-ranks") == "process";
  setting.processes = world > 1 && (cuda || asked);
  setting.node.ranks = world;
  if (setting.processes) {
    setting.why = fmt::format("{} processes of this host{}", world, cuda ? ", one a GPU" : "");
  } else if (world > 1) {
    setting.why = "threads of one process";
  }
  return setting;
}

}  // namespace

std::string first_host(std::string_view list) {
  const size_t bracket = list.find('['), comma = list.find(',');
  if (bracket == list.npos || comma < bracket) return std::string(list.substr(0, comma));
  const std::string_view inside = list.substr(bracket + 1);
  return fmt::format("{}{}", list.substr(0, bracket),
                     inside.substr(0, inside.find_first_of(",-]")));
}

Result<RankSetting> rank_setting(const ParsedOptions& options, const Environment& environment) {
  const layout::LayoutOptions layout = TRY(layout_of(options));
  RankSetting setting;
  setting.node.world = layout.tp * layout.dp;
  setting.node.connect = static_cast<double>(step_timeout_of(options).count());
  // Without --step-timeout GPUs may take longer to start than a step may.
  setting.node.patience = options.has("step-timeout") ? setting.node.connect : 300;
  if (options.has("dist-init-addr")) setting.node.address = options.text("dist-init-addr");
  const auto nodes = static_cast<int>(options.integer("nnodes"));
  if (nodes > 1) return of_nodes(nodes, options, environment, setting);
  for (const auto& recognise : {by_torchrun, by_slurm, by_open_mpi}) {
    if (const auto launched = recognise(environment)) {
      return of_launched(*launched, options, environment, setting);
    }
  }
  return of_one_host(options, setting);
}

}  // namespace braid::start
