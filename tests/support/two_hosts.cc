#include "support/two_hosts.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "support/shell.h"

namespace braid::testing {

TwoHosts::TwoHosts() {
  const Shell made = shell(
      "(ip netns add braid_a && ip netns add braid_b && "
      "ip link add braid_va netns braid_a type veth peer name braid_vb netns braid_b && "
      "ip -n braid_a addr add 10.99.0.1/24 dev braid_va && ip -n braid_a link set braid_va up && "
      "ip -n braid_b addr add 10.99.0.2/24 dev braid_vb && ip -n braid_b link set braid_vb up && "
      "ip -n braid_a link set lo up && ip -n braid_b link set lo up) 2>&1");
  if (made.code != 0) why_not_ = made.out.empty() ? "ip has failed" : made.out;
}

TwoHosts::~TwoHosts() { shell("(ip netns del braid_a; ip netns del braid_b) >/dev/null 2>&1"); }

std::array<std::string, 2> TwoHosts::prefixes() const {
  return {"ip netns exec braid_a ", "ip netns exec braid_b "};
}

void TwoHosts::enter_second() const {
  const int host = ::open("/run/netns/braid_b", O_RDONLY | O_CLOEXEC);
  if (host < 0 || ::setns(host, CLONE_NEWNET) != 0) ::_exit(1);
  ::close(host);
}

}  // namespace braid::testing
