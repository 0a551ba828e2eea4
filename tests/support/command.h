// Runs braid's commands inside the test's process, with streams of the test's own.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace braid::testing {

struct Ran {
  int code = 0;
  std::string out;
  std::string err;

  // The last line of the output as JSON; fails the program when it is not JSON.
  Json json() const;
};

struct Surroundings {
  std::string in;
  bool in_is_terminal = false;
  std::map<std::string, std::string> environment;
  // Gets what is written to the output; 0 or an errno.
  std::function<int(std::string_view)> write = nullptr;
};

// Runs `braid arguments…` and returns what it wrote.
Ran run_braid(const std::vector<std::string>& arguments, const Surroundings& around = {});

}  // namespace braid::testing
