// What a member of a group calls a collective with, and what must be true of it.
#pragma once

#include <string>

#include "comm/comm.h"

namespace braid::comm {

enum class CallKind { all_reduce, all_gather_v, reduce_scatter_v, all_to_all_v };

// The spans are the caller's.
struct Call {
  CallKind kind = CallKind::all_reduce;
  std::span<const Gather> buffers;
  std::span<const int32_t> counts;  // none for an all_reduce; of an all_to_all_v what it sends
};

// A call as text: "[3, 8] f32", or with the counts as rows "gather [1 + 0 + 2, 8] f32, [1 + 0 + 2,
// 2] i32".
std::string text_of(const Call& call);
// The part of it that must be alike on all members: all but what a member sends in an all_to_all_v,
// "send [any, 8] f32".
std::string alike_text_of(const Call& call);

// `unsupported` where rows are to be summed that can't be.
Status check_format(const Call& call);
// Whether member `index` of `members` has buffers that hold what the counts say; `rank`: its number
// in the world, for the message.
Status check_room(const Call& call, size_t index, size_t members, int32_t rank);

// Rows that a member can be sent in an all_to_all_v.
int64_t room_of(const Call& call);
// `fault` where it is sent more of them, on all members.
Status check_arriving(int64_t rows, int64_t room, int32_t rank);

// The error of ranks that waited for the ranks of `missing`, which did not come in time.
Error missed(const std::vector<int32_t>& missing);
// The error of ranks that call a collective with different rows.
Error not_alike(int32_t rank, const std::string& text, int32_t other, const std::string& its_text);

}  // namespace braid::comm
