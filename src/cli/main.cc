#include <csignal>

#include "cli/run.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed output is an error of the write
  braid::cli::Streams streams = braid::cli::process_streams();
  return braid::cli::run({argv + 1, argv + argc}, streams);
}
