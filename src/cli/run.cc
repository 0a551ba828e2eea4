#include "cli/run.h"

#include <array>
#include <csignal>

#include "base/options_table.h"
#include "cli/commands.h"
#include "start/rank_setting.h"
#include "start/session.h"

namespace braid::cli {
namespace {

constexpr int kBySignal = 128;  // and the signal's number: an exit code, as shells have it

struct Command {
  std::string_view name;
  Result<Outcome> (*run)(const Context& context);
  bool serves = false;  // until SIGTERM comes, which it takes for a success
};

constexpr std::array kCommands = {
    Command{"generate", generate},
    Command{"chat", chat},
    Command{"serve", serve, /*serves=*/true},
    Command{"eval logits", eval_logits},
    Command{"eval perplexity", eval_perplexity},
    Command{"eval balance", eval_balance},
    Command{"bench throughput", bench_throughput},
    Command{"bench latency", bench_latency},
    Command{"bench layer", bench_layer},
    Command{"bench kernel", bench_kernel},
    Command{"bench techniques", bench_techniques},
    Command{"profile", profile},
    Command{"verify", verify},
};

// The text that rank 0's process concludes with.
std::string name_of(Outcome outcome) {
  return outcome == Outcome::interrupted ? "interrupted" : "success";
}

int exit_code(Outcome outcome) { return outcome == Outcome::interrupted ? kBySignal + SIGINT : 0; }

// A long fault gets several lines: its cause in the first, and below it what each rank said.
// Other errors are one line.
std::string text_of(const Error& error) {
  constexpr size_t kShort = 100;
  const std::string line = error.to_string();
  if (error.kind() != ErrorKind::fault || line.size() <= kShort) return line;
  std::string text = error.message();
  for (const auto& [name, value] : error.values()) text += fmt::format("\n  {}: {}", name, value);
  if (!error.remedy().empty()) text += fmt::format("\n  {}", error.remedy());
  return text;
}

// The command on ranks that are processes: rank 0's runs it, the others follow.
Result<int> run_on_processes(const Command& command, const ParsedOptions& options, Streams& streams,
                             const start::RankSetting& setting) {
  const comm::Ended ended =
      TRY(comm::run_node(setting.node, [&](comm::ControlPlane& control) -> Status {
        const Context context{{options, streams.console, &control, setting.why}, streams};
        if (control.rank() > 0) {
          streams.console.set_quiet(true);
          return start::Session::follow(context);
        }
        const Result<Outcome> outcome = command.run(context);
        if (!outcome.ok() && !streams.out.closed()) return outcome.status();
        // When the output has no reader, the command has ended early, but well.
        control.conclude(name_of(outcome.ok() ? *outcome : Outcome::success));
        return {};
      }));
  if (ended.signal == SIGTERM && command.serves) return 0;
  if (ended.signal != 0) return kBySignal + ended.signal;
  return ended.outcome == name_of(Outcome::interrupted) ? exit_code(Outcome::interrupted) : 0;
}

Result<int> run_command(const Command& command, const ParsedOptions& options, Streams& streams) {
  const bool ranked = takes(*braid_options().find("cpu-ranks"), options.command());
  if (!ranked) {
    return exit_code(
        TRY(command.run({{options, streams.console, nullptr, "threads of one process"}, streams})));
  }
  start::RankSetting setting = TRY(start::rank_setting(options, streams.sources.environment));
  setting.node.console = &streams.console;
  setting.node.drains = command.serves;
  if (setting.processes) return run_on_processes(command, options, streams, setting);
  return exit_code(TRY(command.run({{options, streams.console, nullptr, setting.why}, streams})));
}

Result<int> dispatch(const ParsedOptions& options, Streams& streams) {
  if (options.version()) {
    TRY(streams.out.line(fmt::format("braid {}", kVersion)));
    return 0;
  }
  if (options.help()) {
    const HelpStyle style{.all = options.help_all(), .columns = streams.out.columns()};
    TRY(streams.out.write(braid_options().help_text(options.command(), style)));
    return 0;
  }
  streams.console.set_quiet(options.flag("quiet"));
  if (takes(*braid_options().find("verbose"), options.command())) {
    streams.console.set_shows_stages(options.flag("verbose"));
  }
  for (const Command& command : kCommands) {
    if (command.name == options.command()) return run_command(command, options, streams);
  }
  return Error(ErrorKind::internal, "the command is in the table of options only")
      .with("command", options.command());
}

}  // namespace

int run(std::span<const char* const> arguments, Streams& streams) {
  const Result<ParsedOptions> options = parse(braid_options(), arguments, streams.sources);
  const Result<int> code =
      options.ok() ? dispatch(*options, streams) : Result<int>(options.status());
  if (code.ok()) return *code;
  if (streams.out.closed()) return 0;  // the reader of the output has gone
  streams.console.error(text_of(code.error()));
  return code.error().kind() == ErrorKind::usage ? 2 : 1;
}

}  // namespace braid::cli
