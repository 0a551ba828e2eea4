// Runs the braid program itself by a shell: for ranks that are processes.
#pragma once

#include <array>
#include <string>

namespace braid::testing {

struct Shell {
  int code = -1;
  std::string out;  // and what it said on stderr, if asked to with 2>&1
};

Shell shell(const std::string& command);

// "…/braid WORDS".
std::string braid(const std::string& words);

// A TCP port of this host that is free now.
std::string free_port();

// braid WORDS on two nodes, which are started by two shells, each behind its prefix; what the first
// one said. The code is 9 where the second one failed.
Shell two_nodes(const std::string& words, const std::string& address,
                const std::array<std::string, 2>& prefixes = {});

}  // namespace braid::testing
