// The joint check: proves compiled Schedules free of races and deadlocks. It shares no code with
// the compiler, only the data types of Programs and Schedules and what kinds declare. Every error
// is `internal` and names the ops, their lanes, the buffer and its rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flow/schedule.h"

namespace braid::flow {

// How much a check has looked at.
struct CheckReport {
  int64_t ops = 0;
  int64_t pairs = 0;        // conflicting accesses whose order was proven, the implied ones aside
  int64_t collectives = 0;  // rendezvous between ranks
};

// One Schedule of one rank. Proves that
// - lane orders and waits have no cycle;
// - any two accesses of the same memory, one of them a write, are ordered by lane orders and waits,
//   and as in the Program. Same memory: common bytes of whole rows of one resident, or of step
//   buffers and kernels' scratch by their places in the workspace;
// - from its first write to its last use a row's memory belongs to its step buffer alone, and
//   every row of a step buffer is written before it is read;
// - places lie in the workspace, views lie in the Regions that they declare, no op writes a weight;
// - ops follow the op before them on their lane, while that still runs, only where both are
// kernels,
//   the follower awaits the other's end, and there is no wait for another lane; never on lanes of
//   collectives and copies; what it reads before that end are weights, which nobody writes;
// - Schedule.summary says what the ops read and write of carried buffers.
Result<CheckReport> check_schedule(const Schedule& schedule);

// Ranks that share a communicator. The same id may stand for several groups of disjoint ranks.
struct CommunicatorGroup {
  int32_t communicator = 0;
  std::vector<int32_t> ranks;  // indices into the checked ranks
};

// The Schedules of all ranks for one step; ranks[r] is rank r's. A communicator that `groups` does
// not name has all ranks as its members. Proves that
// - collectives stand on lane comm, and the members of a communicator issue equal sequences of
//   them (equal kinds and signatures);
// - lane orders, waits and rendezvous have no cycle: a collective ends nowhere before it has
//   started everywhere;
// - memory that a rank other than its owner touches is ordered through collectives. A collective
//   touches memory after its rendezvous, and orders its own accesses of all ranks itself; those
//   of another rank come before what follows the collective only if it is a barrier.
// That each rank's own Schedule is right is check_schedule's part.
Result<CheckReport> check_joint(std::span<const Schedule* const> ranks,
                                std::span<const CommunicatorGroup> groups = {});

// One run of a Schedule: it starts when the launches that it names are done.
struct Launch {
  const Schedule* schedule = nullptr;
  int64_t step = 0;            // even and odd steps use the two copies of two-copy residents
  std::vector<int32_t> after;  // indices of earlier launches of the same rank
};

// The launches of one rank, in the order of their submission. Proves that launches that touch the
// same resident rows (of the same copy), one of them writing, or that both use the workspace, are
// ordered by the launches that they name, whatever the lanes' own order adds.
Result<CheckReport> check_launches(std::span<const Launch> launches);

// The launches of all ranks: what check_joint proves for one step, for a row of launches each.
Result<CheckReport> check_joint_launches(std::span<const std::vector<Launch>> ranks,
                                         std::span<const CommunicatorGroup> groups = {});

// Rows of a resident that were handed to a holder (a request's KV blocks, say). Launches are
// numbered upwards; `done_when_granted` is the last one that was known to be done, with all before
// it, when the rows were handed out.
struct Lease {
  int32_t resident = -1;
  int64_t first = 0;  // rows
  int64_t last = 0;   // one past
  int64_t holder = 0;
  int64_t first_launch = 0;  // launches that may touch the rows for this holder
  int64_t last_launch = 0;
  int64_t done_when_granted = -1;
};

// Rows that change their holder were granted when the previous holder's last launch was done, and
// no rows have two holders at once. Leases in any order; those of one holder may overlap.
Status check_leases(std::span<const Lease> leases);

}  // namespace braid::flow
