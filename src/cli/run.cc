#include "cli/run.h"

#include <array>

#include "base/options_table.h"
#include "cli/commands.h"

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
    Command{"profile", profile},
    Command{"verify", verify},
};

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
    if (command.name == options.command()) return command.run({options, streams});
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
