#include "cli/run.h"

#include <array>

#include "base/options_table.h"
#include "cli/commands.h"
#include "cli/rank_setting.h"
#include "cli/session.h"

namespace braid::cli {
namespace {

constexpr int kInterrupted = 130;  // 128 + SIGINT, as shells have it

struct Command {
  std::string_view name;
  Result<Outcome> (*run)(const Context& context);
};

constexpr std::array kCommands = {
    Command{"generate", generate},
    Command{"chat", chat},
    Command{"eval logits", eval_logits},
    Command{"eval perplexity", eval_perplexity},
    Command{"eval balance", eval_balance},
    Command{"bench throughput", bench_throughput},
    Command{"bench latency", bench_latency},
    Command{"bench layer", bench_layer},
    Command{"bench techniques", bench_techniques},
    Command{"profile", profile},
    Command{"verify", verify},
};

// What rank 0's process concludes with, and what that was.
std::string name_of(Outcome outcome) {
  return outcome == Outcome::interrupted ? "interrupted" : "success";
}

// The command on ranks that are processes: rank 0's runs it, the others follow.
Result<Outcome> run_on_processes(const Command& command, const ParsedOptions& options,
                                 Streams& streams, const RankSetting& setting) {
  const std::string said =
      TRY(comm::run_node(setting.node, [&](comm::ControlPlane& control) -> Status {
        const Context context{options, streams, &control, setting.why};
        if (control.rank() > 0) {
          streams.console.set_quiet(true);
          return Session::follow(context);
        }
        const Result<Outcome> outcome = command.run(context);
        if (!outcome.ok() && !streams.out.closed()) return outcome.status();
        // Who reads no more has read enough.
        control.conclude(name_of(outcome.ok() ? *outcome : Outcome::success));
        return {};
      }));
  return said == name_of(Outcome::interrupted) ? Outcome::interrupted : Outcome::success;
}

Result<Outcome> run_command(const Command& command, const ParsedOptions& options,
                            Streams& streams) {
  const bool ranked = takes(*braid_options().find("cpu-ranks"), options.command());
  if (!ranked) return command.run({options, streams, nullptr, "threads of one process"});
  const RankSetting setting = TRY(rank_setting(options, streams.sources.environment));
  if (setting.processes) return run_on_processes(command, options, streams, setting);
  return command.run({options, streams, nullptr, setting.why});
}

Result<Outcome> dispatch(const ParsedOptions& options, Streams& streams) {
  if (options.version()) {
    TRY(streams.out.line(fmt::format("braid {}", kVersion)));
    return Outcome::success;
  }
  if (options.help()) {
    TRY(streams.out.write(braid_options().help_text(options.command())));
    return Outcome::success;
  }
  streams.console.set_quiet(options.flag("quiet"));
  for (const Command& command : kCommands) {
    if (command.name == options.command()) return run_command(command, options, streams);
  }
  return Error(ErrorKind::internal, "the command is in the table of options only")
      .with("command", options.command());
}

}  // namespace

int run(std::span<const char* const> arguments, Streams& streams) {
  const Result<ParsedOptions> options = parse(braid_options(), arguments, streams.sources);
  const Result<Outcome> outcome =
      options.ok() ? dispatch(*options, streams) : Result<Outcome>(options.status());
  if (outcome.ok()) return *outcome == Outcome::interrupted ? kInterrupted : 0;
  if (streams.out.closed()) return 0;  // who read has read enough
  streams.console.error(outcome.error().to_string());
  return outcome.error().kind() == ErrorKind::usage ? 2 : 1;
}

}  // namespace braid::cli
