#include <csignal>
#include <cstdlib>
#include <exception>
#include <new>

#include "base/log.h"
#include "base/options_environment.h"
#include "base/options_table.h"
#include "cli/run.h"

namespace {

// What a library throws, or std::bad_alloc where the memory is at an end, in whatever thread: the
// last line of defence behind errors that are told as values.
[[noreturn]] void end_with_an_error() {
  const char* what = "the program can't go on";
  try {
    if (const std::exception_ptr thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    what = "out of memory";
  } catch (const std::exception& thrown) {
    what = thrown.what();
  } catch (...) {
  }
  braid::console().error(what);
  std::_Exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  std::set_terminate(end_with_an_error);
  std::signal(SIGPIPE, SIG_IGN);  // a closed output is an error of the write
  std::signal(SIGXFSZ, SIG_IGN);  // so is a file that may not grow any more
  braid::cli::Streams streams = braid::cli::process_streams();
  for (const std::string& warning :
       braid::unknown_variables(braid::braid_options(), braid::process_variables())) {
    streams.console.warn(warning);
  }
  return braid::cli::run({argv + 1, argv + argc}, streams);
}
