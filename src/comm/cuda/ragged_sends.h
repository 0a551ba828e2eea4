// Kernels that send rows to one GPU each, by counts that no other GPU knows beforehand. What may be
// read and written when is their caller's to order. Blocks are those of ragged_rows.h.
#pragma once

#include "comm/cuda/ragged_rows.h"

namespace braid::comm {

// One member's part of all counts: what it has to do with member `other`.
struct SendCounts {
  int32_t sent = 0;     // rows that this member has for the other
  int32_t before = 0;   // rows that lie there before them: those of the members before this one
  int32_t arrived = 0;  // rows that the other has for this member
};

// `at(from, to)`: how many rows member `from` has for member `to`.
template <typename At>
constexpr SendCounts counts_with(const At& at, int index, int other) {
  SendCounts counts{.sent = at(index, other), .before = 0, .arrived = at(other, index)};
  for (int member = 0; member < index; ++member) counts.before += at(member, other);
  return counts;
}

// From the number of a row among all that this member sends to its number at the member that gets
// it; `end`: how many it sends to that one and those before it.
constexpr int32_t shift_of(const SendCounts& counts, int32_t end) {
  return counts.before - (end - counts.sent);
}

// Where all members' counts are, i32 [size, size + 1], in this process's addresses. A member's row:
// how many rows it has for each, and how many it has room for.
struct CountTables {
  int32_t* of_member[kMaxMembers];
};
constexpr int table_width(int size) { return size + 1; }

// Writes this member's row, peers.counts and room, into all members' tables; what is negative
// becomes 0.
void tell_counts(const CountTables& tables, int64_t room, const PeerView& peers,
                 cudaStream_t stream);

// What is sent. `table`: this member's, which all have written their rows of.
struct Sends {
  const int32_t* table = nullptr;
  const int32_t* source = nullptr;  // [most], which row of `in` is sent; null: row 0, 1, …
  int64_t most = 0;                 // rows that can be sent to all members together
  int32_t* received = nullptr;      // [size], becomes how many rows came from each; null: nothing
};

// Of every buffer, rows source[0], source[1], … to member 0, as many as it is to have, then to
// member 1, …; there they lie behind those of the members before this one. With `fill`, rows of
// this member's `out` behind those of all members become bytes of 0xff.
void send_rows(const Pushed& rows, const Sends& sends, const PeerView& peers, cudaStream_t stream);

}  // namespace braid::comm
