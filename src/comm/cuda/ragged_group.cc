#include "comm/cuda/ragged_group.h"

#include <algorithm>
#include <limits>

#include "device/cuda/cuda_error.h"

namespace braid::comm {
namespace {

int64_t row_bytes(const Rows& rows) { return rows.cols * bytes_of(rows.format); }

Result<SumFormat> sum_format(Format format) {
  if (format == Format::f32) return SumFormat::f32;
  if (format == Format::bf16) return SumFormat::bf16;
  return Error(ErrorKind::unsupported, "sums over ranks are of f32 or bf16")
      .with("format", name_of(format));
}

}  // namespace

Result<std::unique_ptr<RaggedGroup>> RaggedGroup::create(PeerWorkspace& workspace,
                                                         const Members& members) {
  static_assert(kMostPeers <= kMaxMembers);
  PeerWords words = TRY(PeerWords::create(workspace, members, kNumSignals));
  const int64_t size = members.size();
  auto* table =
      reinterpret_cast<int32_t*>(TRY(workspace.take_words(size * table_width(members.size()))));
  CountTables tables{};
  for (size_t i = 0; i < members.ranks.size(); ++i) {
    tables.of_member[i] = reinterpret_cast<int32_t*>(workspace.words().at(members.ranks[i], table));
  }
  return std::unique_ptr<RaggedGroup>(
      new RaggedGroup(workspace.arena(), std::move(words), table, tables));
}

Result<uint32_t> RaggedGroup::place_of(const Rows& rows) const {
  const int64_t bytes = rows.rows == 0 ? 0 : (rows.rows - 1) * rows.stride + row_bytes(rows);
  if (!arena_.holds(rows.data, bytes)) {
    return Error(ErrorKind::internal, "operands of a collective lie outside the shared workspace");
  }
  const int64_t offset = arena_.offset_of(rows.data);
  if (offset % kPlaceBytes != 0 || offset / kPlaceBytes >= std::numeric_limits<int32_t>::max()) {
    return Error(ErrorKind::internal, "an operand of a collective can't be told to peers")
        .with("byte", offset)
        .with("a multiple of", kPlaceBytes);
  }
  return static_cast<uint32_t>(offset / kPlaceBytes + 1);
}

PeerView RaggedGroup::view(const DeviceCounts& counts) const {
  const Members& members = words_.members();
  PeerView view{.arenas = {},
                .places = words_.word(0, 0),
                .counts = counts.data,
                .counts_stride = counts.stride,
                .size = members.size(),
                .index = members.index};
  for (size_t i = 0; i < members.ranks.size(); ++i) view.arenas[i] = arena_.base(members.ranks[i]);
  return view;
}

Result<Pushed> RaggedGroup::pushed_of(std::span<const DeviceGather> buffers, Places& places) const {
  if (buffers.empty() || buffers.size() > kMaxMoved) {
    return Error(ErrorKind::internal, "a collective moves from 1 to 8 buffers")
        .with("buffers", buffers.size());
  }
  Pushed pushed{.buffers = {}, .count = static_cast<int>(buffers.size())};
  for (size_t i = 0; i < buffers.size(); ++i) {
    const Rows &in = buffers[i].in, &out = buffers[i].out;
    if (in.cols != out.cols || in.format != out.format) {
      return Error(ErrorKind::internal, "rows are moved as they are").with("buffer", i);
    }
    places[i] = TRY(place_of(out));
    PushedRows& rows = pushed.buffers[i];
    rows = {.in = in.data,
            .in_stride = in.stride,
            .in_rows = in.rows,
            .out = out.data,
            .out_stride = out.stride,
            .out_rows = out.rows,
            .row_bytes = row_bytes(in),
            .fill = buffers[i].fill};
    rows.unit = unit_of(rows);
  }
  return pushed;
}

// Why no member overwrites rows that are still read, and none reads rows that are not yet written:
// 1. A member sends its places to all peers. On its stream this comes after every operation that
// the
//    collective depends on, so nothing there still reads the places.
// 2. A peer's kernel writes to these places after the peer has received them.
// 3. The peer sends kDone after its kernel, on the same stream.
// 4. The member's stream goes on after kDone has come from all peers: all rows are there.
Status RaggedGroup::all_gather_v(std::span<const DeviceGather> buffers, const DeviceCounts& counts,
                                 cudaStream_t stream) const {
  Places places{};
  const Pushed pushed = TRY(pushed_of(buffers, places));
  TRY(words_.exchange({places.data(), buffers.size()}, stream));
  push_rows(pushed, view(counts), stream);
  CUDA_TRY(cudaGetLastError());
  return words_.clear_and_meet(pushed.count, kDone, stream);
}

// The four steps of all_gather_v, with a table of counts before them, because the place of a
// member's rows depends on the counts of the members before it:
// 1. A member writes its counts and its room into the tables of all peers, and then sends its
//    places. A peer that has received the places therefore sees the counts as well.
// 2. No peer still reads its table for the collective before this one: the peer sent kDone in that
//    collective after its kernel had read the table, and this member waited for it.
Status RaggedGroup::all_to_all_v(std::span<const DeviceGather> buffers, const DeviceSends& sends,
                                 cudaStream_t stream) const {
  Places places{};
  const Pushed pushed = TRY(pushed_of(buffers, places));
  const PeerView peers = view(sends.counts);
  int64_t room = pushed.buffers[0].out_rows;
  for (int i = 1; i < pushed.count; ++i) room = std::min(room, pushed.buffers[i].out_rows);
  tell_counts(tables_, room, peers, stream);
  CUDA_TRY(cudaGetLastError());
  TRY(words_.exchange({places.data(), buffers.size()}, stream));
  send_rows(
      pushed,
      {.table = table_, .source = sends.source, .most = sends.most, .received = sends.received},
      peers, stream);
  CUDA_TRY(cudaGetLastError());
  return words_.clear_and_meet(pushed.count, kDone, stream);
}

// Why no member reads a part too early, and none overwrites a part that is still read:
// 1. A member sends its place to all peers after the operations that compute its part.
// 2. A peer's kernel reads the part after the peer has received the place.
// 3. The peer sends kDone after its kernel. The member waits for kDone from all peers, and may
//    overwrite its part from then on.
Status RaggedGroup::reduce_scatter_v(const Rows& in, const Rows& out, const DeviceCounts& counts,
                                     cudaStream_t stream) const {
  if (in.cols != out.cols || in.format != out.format) {
    return Error(ErrorKind::internal, "rows are summed as they are");
  }
  const uint32_t place = TRY(place_of(in));
  SummedRows rows{.in = in.data,
                  .in_stride = in.stride,
                  .in_rows = in.rows,
                  .out = out.data,
                  .out_stride = out.stride,
                  .out_rows = out.rows,
                  .cols = in.cols,
                  .format = TRY(sum_format(in.format))};
  rows.packed = can_pack(rows);
  TRY(words_.exchange({&place, 1}, stream));
  sum_rows(rows, view(counts), stream);
  CUDA_TRY(cudaGetLastError());
  return words_.clear_and_meet(1, kDone, stream);
}

}  // namespace braid::comm
