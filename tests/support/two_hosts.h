// Two network namespaces with a wire between them: two hosts, as far as the network is concerned.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace braid::testing {

class TwoHosts {
 public:
  TwoHosts();
  ~TwoHosts();
  TwoHosts(const TwoHosts&) = delete;
  TwoHosts& operator=(const TwoHosts&) = delete;

  // Whether there are any: only root may make them.
  bool made() const { return why_not_.empty(); }
  const std::string& why_not() const { return why_not_; }

  std::string_view first_address() const { return "10.99.0.1"; }
  // What stands before a command that is to run on each of them.
  std::array<std::string, 2> prefixes() const;
  // Moves this thread to the second one.
  void enter_second() const;

 private:
  std::string why_not_;
};

}  // namespace braid::testing
