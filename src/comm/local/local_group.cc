#include "comm/local/local_group.h"

#include <algorithm>
#include <cstring>

namespace braid::comm {

class LocalGroup::Member final : public Communicator {
 public:
  Member(LocalGroup& group, size_t index) : group_(group), index_(index) {}

  int32_t rank() const override { return static_cast<int32_t>(index_); }
  int32_t size() const override { return static_cast<int32_t>(group_.size()); }
  Status all_reduce(const Rows& in, const Rows& out, device::Queue* /*queue*/) override {
    return group_.all_reduce(index_, in, out);
  }
  Status all_gather_v(std::span<const Gather> buffers, std::span<const int32_t> counts,
                      device::Queue* /*queue*/) override {
    return group_.all_gather_v(index_, buffers, counts);
  }
  Status reduce_scatter_v(const Rows& in, const Rows& out, std::span<const int32_t> counts,
                          device::Queue* /*queue*/) override {
    return group_.reduce_scatter_v(index_, in, out, counts);
  }
  Status all_to_all_v(std::span<const Gather> buffers, const int32_t* counts, int32_t* received,
                      device::Queue* /*queue*/) override {
    return group_.all_to_all_v(index_, buffers, {counts, group_.size()}, {received, group_.size()});
  }
  void abort(const Error& why) override { group_.fail(why); }
  Status status() const override { return group_.status(); }

 private:
  LocalGroup& group_;
  size_t index_;
};

LocalGroup::LocalGroup(std::vector<int32_t> ranks, std::chrono::milliseconds timeout,
                       std::vector<EmulatedLink*> links)
    : ranks_(std::move(ranks)),
      timeout_(timeout),
      links_(std::move(links)),
      posted_(ranks_.size()) {
  BRAID_CHECK(links_.empty() || links_.size() == size(), "({} links)", links_.size());
  for (size_t index = 0; index < size(); ++index) {
    members_.push_back(std::make_unique<Member>(*this, index));
    const std::vector<Rows> one_each(size());
    scratch_.push_back({one_each, one_each, std::vector<int32_t>(size())});
  }
}

LocalGroup::~LocalGroup() = default;

Communicator& LocalGroup::member(int32_t index) { return *members_[static_cast<size_t>(index)]; }

Status LocalGroup::all_reduce(size_t index, const Rows& in, const Rows& out) {
  BRAID_CHECK(in.rows == out.rows && in.cols == out.cols && in.format == out.format,
              "([{}, {}] into [{}, {}])", in.rows, in.cols, out.rows, out.cols);
  const Gather rows{in, out};
  const Call call{CallKind::all_reduce, {&rows, 1}, {}};
  TRY(check_format(call));
  TRY(meet(index, call));
  sum_columns(index);
  part(index);
  return {};
}

Status LocalGroup::all_gather_v(size_t index, std::span<const Gather> buffers,
                                std::span<const int32_t> counts) {
  const Call call{CallKind::all_gather_v, buffers, counts};
  if (Status room = check_room(call, index, size(), ranks_[index]); !room.ok()) {
    fail(room.error());
    return room;
  }
  TRY(meet(index, call));
  fetch_rows(index);
  part(index);
  return {};
}

Status LocalGroup::reduce_scatter_v(size_t index, const Rows& in, const Rows& out,
                                    std::span<const int32_t> counts) {
  const Gather rows{in, out};
  const Call call{CallKind::reduce_scatter_v, {&rows, 1}, counts};
  TRY(check_format(call));
  if (Status room = check_room(call, index, size(), ranks_[index]); !room.ok()) {
    fail(room.error());
    return room;
  }
  TRY(meet(index, call));
  sum_own_rows(index);
  part(index);
  return {};
}

Status LocalGroup::all_to_all_v(size_t index, std::span<const Gather> buffers,
                                std::span<const int32_t> counts, std::span<int32_t> received) {
  const Call call{CallKind::all_to_all_v, buffers, counts};
  if (Status room = check_room(call, index, size(), ranks_[index]); !room.ok()) {
    fail(room.error());
    return room;
  }
  TRY(meet(index, call));
  fetch_sent_rows(index);
  for (size_t from = 0; from < size(); ++from) {
    received[from] = static_cast<int32_t>(sent(from, index));
  }
  part(index);
  return {};
}

// Waits until all members have come. Either all of them go on, or all of them fail.
Status LocalGroup::meet(size_t index, const Call& call) {
  std::unique_lock lock(mutex_);
  if (!failure_.ok()) return failure_;
  posted_[index] = {call, true};
  if (++arrived_ == size()) {
    failure_ = check_alike();
    if (failure_.ok()) failure_ = check_received();
    arrived_ = 0;
    for (Posted& posted : posted_) posted.here = false;
    if (failure_.ok()) ++meetings_;
    if (!links_.empty()) met_at_ = EmulatedLink::Clock::now();
    changed_.notify_all();
    return failure_;
  }
  const int64_t before = meetings_;
  const bool in_time =
      changed_.wait_for(lock, timeout_, [&] { return meetings_ != before || !failure_.ok(); });
  if (meetings_ != before) return {};
  if (!in_time) {
    failure_ = late(index);
    changed_.notify_all();
  }
  return failure_;
}

// What this member's link carries for the collective.
LinkLoad LocalGroup::load_of(size_t index) {
  const Call& call = posted_[index].call;
  LinkLoad load;
  for (const Gather& buffer : call.buffers) {
    const double row_bytes = static_cast<double>(buffer.in.cols * bytes_of(buffer.in.format));
    LinkLoad more;
    if (call.kind == CallKind::all_reduce) {
      more = load_of_all_reduce(static_cast<double>(buffer.in.rows) * row_bytes,
                                static_cast<int64_t>(size()));
    } else if (call.kind == CallKind::all_to_all_v) {  // both ways at once
      std::vector<int32_t>& received = scratch_[index].received;
      for (size_t from = 0; from < size(); ++from) {
        received[from] = static_cast<int32_t>(sent(from, index));
      }
      const auto own = static_cast<int64_t>(index);
      const LinkLoad in = load_of_rows(received, own, row_bytes);
      const LinkLoad out = load_of_rows(call.counts, own, row_bytes);
      more = in.bytes > out.bytes ? in : out;
    } else {
      more = load_of_rows(call.counts, static_cast<int64_t>(index), row_bytes);
    }
    load.bytes += more.bytes;
    load.messages = more.messages;  // the buffers travel together
  }
  return load;
}

// Counts the time from the meeting on: what the member did since then overlaps with the transfer.
void LocalGroup::wait_for_link(size_t index) {
  wait_exactly();
  const auto end = links_[index]->book(met_at_, load_of(index));
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, end, [this] { return !failure_.ok(); });
}

// Waits until all members have done their share. No member can fail in between.
void LocalGroup::part(size_t index) {
  if (!links_.empty()) wait_for_link(index);
  std::unique_lock lock(mutex_);
  if (++parted_ == size()) {
    parted_ = 0;
    ++partings_;
    changed_.notify_all();
    return;
  }
  changed_.wait(lock, [this, before = partings_] { return partings_ != before; });
}

void LocalGroup::sum(size_t index, const SummedPart& part, std::span<const Rows> outs) {
  std::vector<Rows>& ins = scratch_[index].ins;
  for (size_t m = 0; m < size(); ++m) ins[m] = posted_[m].call.buffers[0].in;
  sum_rows(ins, outs, part);
}

// A part of the columns, for all members.
void LocalGroup::sum_columns(size_t index) {
  const Rows& shape = posted_[index].call.buffers[0].in;
  const auto n = static_cast<int64_t>(size());
  const auto i = static_cast<int64_t>(index);
  const int64_t first = shape.cols * i / n;
  std::vector<Rows>& outs = scratch_[index].outs;
  for (size_t m = 0; m < size(); ++m) outs[m] = posted_[m].call.buffers[0].out;
  sum(index, {.rows = shape.rows, .col = first, .cols = shape.cols * (i + 1) / n - first}, outs);
}

void LocalGroup::fetch_rows(size_t index) const {
  const Call& call = posted_[index].call;
  for (size_t buffer = 0; buffer < call.buffers.size(); ++buffer) {
    const Rows& out = call.buffers[buffer].out;
    const auto row_bytes = static_cast<size_t>(out.cols * bytes_of(out.format));
    int64_t to = 0;
    for (size_t member = 0; member < size(); ++member) {
      const Rows& in = posted_[member].call.buffers[buffer].in;
      const bool in_place = in.data == out.data + to * out.stride;
      if (in_place) {  // the others may be reading it
        to += call.counts[member];
        continue;
      }
      for (int64_t row = 0; row < call.counts[member]; ++row, ++to) {
        std::memcpy(out.data + to * out.stride, in.data + row * in.stride, row_bytes);
      }
    }
  }
}

// This member's rows, for itself.
void LocalGroup::sum_own_rows(size_t index) {
  const Call& call = posted_[index].call;
  const Rows& out = call.buffers[0].out;
  sum(index,
      {.row = first_of(call.counts, static_cast<int32_t>(index)),
       .rows = call.counts[index],
       .cols = out.cols},
      {&out, 1});
}

// How many rows a member has for another one.
int64_t LocalGroup::sent(size_t from, size_t to) const { return posted_[from].call.counts[to]; }

void LocalGroup::fetch_sent_rows(size_t index) const {
  const Call& call = posted_[index].call;
  for (size_t buffer = 0; buffer < call.buffers.size(); ++buffer) {
    const Rows& out = call.buffers[buffer].out;
    const auto row_bytes = static_cast<size_t>(out.cols * bytes_of(out.format));
    int64_t to = 0;
    for (const Posted& posted : posted_) {
      const Rows& in = posted.call.buffers[buffer].in;
      const int64_t first = first_of(posted.call.counts, static_cast<int32_t>(index));
      for (int64_t row = first; row < first + posted.call.counts[index]; ++row, ++to) {
        std::memcpy(out.data + to * out.stride, in.data + row * in.stride, row_bytes);
      }
    }
  }
}

bool LocalGroup::alike(const Call& a, const Call& b) {
  const auto one_shape = [&](const Gather& x, const Gather& y) {
    return x.in.cols == y.in.cols && x.in.format == y.in.format &&
           (!a.counts.empty() || x.in.rows == y.in.rows);
  };
  const bool own_counts = a.kind == CallKind::all_to_all_v;
  return a.kind == b.kind &&
         (own_counts ||
          std::equal(a.counts.begin(), a.counts.end(), b.counts.begin(), b.counts.end())) &&
         std::equal(a.buffers.begin(), a.buffers.end(), b.buffers.begin(), b.buffers.end(),
                    one_shape);
}

Status LocalGroup::check_alike() const {
  for (size_t index = 1; index < size(); ++index) {
    if (alike(posted_[0].call, posted_[index].call)) continue;
    return not_alike(ranks_[0], text_of(posted_[0].call), ranks_[index],
                     text_of(posted_[index].call));
  }
  return {};
}

// Whether what all members send to one fits where it is to lie.
Status LocalGroup::check_received() const {
  if (posted_.front().call.kind != CallKind::all_to_all_v) return {};
  for (size_t index = 0; index < size(); ++index) {
    int64_t rows = 0;
    for (size_t from = 0; from < size(); ++from) rows += sent(from, index);
    TRY(check_arriving(rows, room_of(posted_[index].call), ranks_[index]));
  }
  return {};
}

Error LocalGroup::late(size_t waiting) const {
  std::vector<int32_t> missing;
  for (size_t index = 0; index < size(); ++index) {
    if (!posted_[index].here) missing.push_back(ranks_[index]);
  }
  return missed(missing)
      .with("waiting rank", ranks_[waiting])
      .with("collective", meetings_ + 1)
      .with("rows", text_of(posted_[waiting].call))
      .with("milliseconds", timeout_.count());
}

void LocalGroup::fail(const Error& why) {
  const std::lock_guard lock(mutex_);
  if (failure_.ok()) failure_ = why;
  changed_.notify_all();
}

Status LocalGroup::status() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace braid::comm
