#include <csignal>

#include "base/options_environment.h"
#include "base/options_table.h"
#include "cli/run.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed output is an error of the write
  braid::cli::Streams streams = braid::cli::process_streams();
  for (const std::string& warning :
       braid::unknown_variables(braid::braid_options(), braid::process_variables())) {
    streams.console.warn(warning);
  }
  return braid::cli::run({argv + 1, argv + argc}, streams);
}
