#include "comm/call.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "comm/row_sums.h"

namespace braid::comm {

namespace {

std::string text_with_rows(const Call& call, std::string_view rows) {
  std::vector<std::string> texts;
  for (const Gather& buffer : call.buffers) {
    texts.push_back(fmt::format("[{}, {}] {}", rows, buffer.in.cols, name_of(buffer.in.format)));
  }
  const std::string_view verb = call.kind == CallKind::all_reduce     ? ""
                                : call.kind == CallKind::all_gather_v ? "gather "
                                : call.kind == CallKind::all_to_all_v ? "send "
                                                                      : "reduce and scatter ";
  return fmt::format("{}{}", verb, fmt::join(texts, ", "));
}

}  // namespace

std::string text_of(const Call& call) {
  if (!call.counts.empty()) {
    return text_with_rows(call, fmt::format("{}", fmt::join(call.counts, " + ")));
  }
  return text_with_rows(call, fmt::format("{}", call.buffers[0].in.rows));
}

std::string alike_text_of(const Call& call) {
  return call.kind == CallKind::all_to_all_v ? text_with_rows(call, "any") : text_of(call);
}

Status check_format(const Call& call) {
  const bool sums = call.kind == CallKind::all_reduce || call.kind == CallKind::reduce_scatter_v;
  if (!sums) return {};
  const Format format = call.buffers[0].in.format;
  if (can_sum(format)) return {};
  return Error(ErrorKind::unsupported, "the CPU sums rows of f32 and bf16 only")
      .with("format", name_of(format));
}

Status check_room(const Call& call, size_t index, size_t members, int32_t rank) {
  bool fits = call.counts.size() == members &&
              std::all_of(call.counts.begin(), call.counts.end(), [](int32_t n) { return n >= 0; });
  for (const Gather& buffer : call.buffers) {
    if (!fits) break;
    if (call.kind == CallKind::all_to_all_v) {  // which has room is known on meeting
      fits = buffer.in.cols == buffer.out.cols && buffer.in.format == buffer.out.format &&
             buffer.in.rows >= total_of(call.counts);
      continue;
    }
    const Rows& own = call.kind == CallKind::all_gather_v ? buffer.in : buffer.out;
    const Rows& all = call.kind == CallKind::all_gather_v ? buffer.out : buffer.in;
    fits = own.cols == all.cols && own.format == all.format && own.rows >= call.counts[index] &&
           all.rows >= total_of(call.counts);
  }
  if (fits) return {};
  return Error(ErrorKind::fault, "a rank's rows are not those that a collective's counts say")
      .with("rank", rank)
      .with("ranks", members)
      .with("rows", text_of(call));
}

int64_t room_of(const Call& call) {
  int64_t room = std::numeric_limits<int64_t>::max();
  for (const Gather& buffer : call.buffers) room = std::min(room, buffer.out.rows);
  return room;
}

Status check_arriving(int64_t rows, int64_t room, int32_t rank) {
  if (rows <= room) return {};
  return Error(ErrorKind::fault, "a rank is sent more rows than it has room for")
      .with("rank", rank)
      .with("rows", rows)
      .with("room", room);
}

Error missed(const std::vector<int32_t>& missing) {
  return Error(ErrorKind::fault,
               fmt::format("rank{} {} did not come to a collective in time",
                           missing.size() > 1 ? "s" : "", fmt::join(missing, ", ")));
}

Error not_alike(int32_t rank, const std::string& text, int32_t other, const std::string& its_text) {
  return Error(ErrorKind::fault, "ranks meet in a collective with different rows")
      .with("rank", rank)
      .with("rows", text)
      .with("other rank", other)
      .with("its rows", its_text);
}

}  // namespace braid::comm
