#include "comm/gloo/gloo_group.h"

#include <fmt/ranges.h>
#include <gloo/transport/context.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/transport/unbound_buffer.h>

#include <algorithm>
#include <cstring>
#include <exception>

#include "comm/control/message.h"
#include "comm/row_sums.h"

namespace braid::comm {
namespace {

constexpr size_t kTextBytes = 256;  // of a hello

size_t row_bytes(const Rows& rows) {
  return static_cast<size_t>(rows.cols * bytes_of(rows.format));
}

// Rows [first, first + count) one behind the other.
void pack_rows(const Rows& rows, int64_t first, int64_t count, std::byte* to) {
  for (int64_t row = first; row < first + count; ++row, to += row_bytes(rows)) {
    std::memcpy(to, rows.data + row * rows.stride, row_bytes(rows));
  }
}

void unpack_rows(const std::byte* from, const Rows& rows, int64_t first, int64_t count) {
  for (int64_t row = first; row < first + count; ++row, from += row_bytes(rows)) {
    std::memcpy(rows.data + row * rows.stride, from, row_bytes(rows));
  }
}

// `like`'s rows, packed at `data`.
Rows packed(const Rows& like, std::byte* data, int64_t rows) {
  return {data, static_cast<int64_t>(row_bytes(like)), rows, like.cols, like.format};
}

Error gloo_error(std::string_view what, const std::exception& thrown) {
  return Error(ErrorKind::fault, std::string(what)).with("gloo", thrown.what());
}

}  // namespace

Result<GlooDevice> GlooDevice::open(const ControlPlane& control) {
  const std::string address = TRY(control.address());
  GlooDevice device;
  try {
    device.device_ =
        gloo::transport::tcp::CreateDevice(gloo::transport::tcp::attr(address.c_str()));
  } catch (const std::exception& thrown) {
    return gloo_error("Gloo can't be used at this host's address", thrown).with("address", address);
  }
  return device;
}

GlooGroup::GlooGroup(std::vector<int32_t> ranks, int32_t index, std::chrono::milliseconds timeout)
    : ranks_(std::move(ranks)), index_(index), timeout_(timeout) {}

GlooGroup::~GlooGroup() = default;

Result<std::unique_ptr<GlooGroup>> GlooGroup::connect(GlooDevice& device, ControlPlane& control,
                                                      std::vector<int32_t> ranks,
                                                      std::chrono::milliseconds timeout) {
  const auto own = std::find(ranks.begin(), ranks.end(), control.rank());
  BRAID_CHECK(own != ranks.end(), "(rank {} is no member)", control.rank());
  const auto index = static_cast<int32_t>(own - ranks.begin());
  std::unique_ptr<GlooGroup> group(new GlooGroup(std::move(ranks), index, timeout));
  TRY(group->connect_pairs(device, control));
  return group;
}

// Gathers the addresses of all pairs over the control plane, and then connects them.
Status GlooGroup::connect_pairs(GlooDevice& device, ControlPlane& control) {
  std::vector<std::string> addresses(ranks_.size());
  try {
    if (size() > 1) {
      context_ = device.get()->createContext(index_, size());
      context_->setTimeout(timeout_);
    }
    for (int32_t other = 0; other < size(); ++other) {
      if (other == index_) continue;
      const std::vector<char> bytes = context_->createPair(other)->address().bytes();
      addresses[static_cast<size_t>(other)].assign(bytes.begin(), bytes.end());
    }
    const std::vector<std::string> all = TRY(control.all_gather(pack(addresses)));
    for (int32_t other = 0; other < size(); ++other) {
      if (other == index_) continue;
      const auto rank = static_cast<size_t>(ranks_[static_cast<size_t>(other)]);
      const std::vector<std::string> theirs = TRY(unpack(all[rank]));
      if (theirs.size() != ranks_.size()) {
        return Error(ErrorKind::fault, "ranks disagree on a group's members").with("rank", rank);
      }
      const std::string& address = theirs[static_cast<size_t>(index_)];
      context_->getPair(other)->connect({address.begin(), address.end()});
    }
  } catch (const std::exception& thrown) {
    return gloo_error("this rank can't be connected with the others", thrown)
        .remedy("Check that the hosts reach one another, at any port.");
  }
  return {};
}

Status GlooGroup::all_reduce(const Rows& in, const Rows& out, device::Queue* /*queue*/) {
  BRAID_CHECK(in.rows == out.rows && in.cols == out.cols && in.format == out.format,
              "([{}, {}] into [{}, {}])", in.rows, in.cols, out.rows, out.cols);
  const Gather rows{in, out};
  return run({CallKind::all_reduce, {&rows, 1}, {}}, &GlooGroup::reduce);
}

Status GlooGroup::all_gather_v(std::span<const Gather> buffers, std::span<const int32_t> counts,
                               device::Queue* /*queue*/) {
  return run({CallKind::all_gather_v, buffers, counts}, &GlooGroup::gather);
}

Status GlooGroup::reduce_scatter_v(const Rows& in, const Rows& out, std::span<const int32_t> counts,
                                   device::Queue* /*queue*/) {
  const Gather rows{in, out};
  return run({CallKind::reduce_scatter_v, {&rows, 1}, counts}, &GlooGroup::scatter);
}

Status GlooGroup::all_to_all_v(std::span<const Gather> buffers, const int32_t* counts,
                               int32_t* received, device::Queue* /*queue*/) {
  TRY(run({CallKind::all_to_all_v, buffers, {counts, ranks_.size()}}, &GlooGroup::send));
  std::copy(received_.begin(), received_.end(), received);
  return {};
}

Status GlooGroup::run(const Call& call, Status (GlooGroup::*move)(const Call&)) {
  TRY(check_format(call));
  if (call.kind != CallKind::all_reduce) {
    const auto index = static_cast<size_t>(index_);
    const Status room = check_room(call, index, ranks_.size(), ranks_[index]);
    if (!room.ok()) return fail(room.error());
  }
  TRY(meet(call));
  ++meetings_;
  return (this->*move)(call);
}

// Tells all members what each of them calls the collective with. Either all go on, or all fail.
Status GlooGroup::meet(const Call& call) {
  came_with_ = text_of(call);
  const size_t bytes = hello_bytes();
  Bytes own = packed_hello(call), all(ranks_.size() * bytes);
  std::vector<Piece> to(ranks_.size(), {0, bytes}), from;
  for (size_t m = 0; m < ranks_.size(); ++m) from.push_back({m * bytes, bytes});
  std::vector<bool> heard(ranks_.size());
  TRY(exchange(own, to, all, from, heard));
  std::copy(own.begin(), own.end(), all.begin() + static_cast<int64_t>(bytes) * index_);
  std::vector<Hello> hellos;
  for (size_t m = 0; m < ranks_.size(); ++m) {
    hellos.push_back(hello_in(all.data() + m * bytes));
    if (hellos[m].text == hellos[0].text) continue;
    return fail(not_alike(ranks_[0], hellos[0].text, ranks_[m], hellos[m].text));
  }
  return call.kind == CallKind::all_to_all_v ? take_counts(hellos) : Status();
}

size_t GlooGroup::hello_bytes() const { return kTextBytes + (1 + ranks_.size()) * sizeof(int64_t); }

GlooGroup::Bytes GlooGroup::packed_hello(const Call& call) const {
  Bytes bytes(hello_bytes());
  const std::string text = alike_text_of(call);
  std::memcpy(bytes.data(), text.data(), std::min(text.size(), kTextBytes - 1));
  if (call.kind != CallKind::all_to_all_v) return bytes;
  std::vector<int64_t> numbers = {room_of(call)};
  numbers.insert(numbers.end(), call.counts.begin(), call.counts.end());
  std::memcpy(bytes.data() + kTextBytes, numbers.data(), numbers.size() * sizeof(int64_t));
  return bytes;
}

GlooGroup::Hello GlooGroup::hello_in(const std::byte* bytes) const {
  Hello hello{.text = reinterpret_cast<const char*>(bytes), .room = 0, .counts = {}};
  hello.counts.resize(ranks_.size());
  std::memcpy(&hello.room, bytes + kTextBytes, sizeof(hello.room));
  std::memcpy(hello.counts.data(), bytes + kTextBytes + sizeof(hello.room),
              ranks_.size() * sizeof(int64_t));
  return hello;
}

// Every member checks all of them, so that either all go on, or all fail.
Status GlooGroup::take_counts(const std::vector<Hello>& hellos) {
  for (size_t to = 0; to < hellos.size(); ++to) {
    int64_t rows = 0;
    for (const Hello& from : hellos) rows += from.counts[to];
    const Status fits = check_arriving(rows, hellos[to].room, ranks_[to]);
    if (!fits.ok()) return fail(fits.error());
  }
  received_.clear();
  for (const Hello& from : hellos) {
    received_.push_back(static_cast<int32_t>(from.counts[static_cast<size_t>(index_)]));
  }
  return {};
}

// Everybody's rows go to everybody.
Status GlooGroup::reduce(const Call& call) {
  const Rows& in = call.buffers[0].in;
  const size_t bytes = static_cast<size_t>(in.rows) * row_bytes(in);
  in_.resize(bytes * ranks_.size());
  std::byte* own = in_.data() + bytes * static_cast<size_t>(index_);
  pack_rows(in, 0, in.rows, own);
  std::vector<Piece> to(ranks_.size(), {0, bytes}), from;
  std::vector<Rows> ins;
  for (size_t m = 0; m < ranks_.size(); ++m) {
    from.push_back({m * bytes, bytes});
    ins.push_back(packed(in, in_.data() + m * bytes, in.rows));
  }
  std::vector<bool> heard(ranks_.size());
  TRY(exchange({own, bytes}, to, in_, from, heard));
  sum_rows(ins, {&call.buffers[0].out, 1}, {.rows = in.rows, .cols = in.cols});
  return {};
}

Status GlooGroup::gather(const Call& call) {
  size_t of_row = 0;  // bytes of a row in all buffers
  for (const Gather& buffer : call.buffers) of_row += row_bytes(buffer.in);
  const int64_t own = call.counts[static_cast<size_t>(index_)];
  out_.resize(of_row * static_cast<size_t>(own));
  size_t at = 0;
  for (const Gather& buffer : call.buffers) {
    pack_rows(buffer.in, 0, own, out_.data() + at);
    at += row_bytes(buffer.in) * static_cast<size_t>(own);
  }
  std::vector<Piece> to(ranks_.size(), {0, out_.size()}), from;
  size_t total = 0;
  for (const int32_t count : call.counts) {
    from.push_back({total, of_row * static_cast<size_t>(count)});
    total += from.back().bytes;
  }
  in_.resize(total);
  std::copy(out_.begin(), out_.end(),
            in_.begin() + static_cast<int64_t>(from[static_cast<size_t>(index_)].offset));
  std::vector<bool> heard(ranks_.size());
  TRY(exchange(out_, to, in_, from, heard));
  for (int32_t member = 0; member < size(); ++member) {
    const std::byte* bytes = in_.data() + from[static_cast<size_t>(member)].offset;
    const int64_t count = call.counts[static_cast<size_t>(member)];
    for (const Gather& buffer : call.buffers) {
      unpack_rows(bytes, buffer.out, first_of(call.counts, member), count);
      bytes += row_bytes(buffer.out) * static_cast<size_t>(count);
    }
  }
  return {};
}

Status GlooGroup::scatter(const Call& call) {
  const Rows &in = call.buffers[0].in, &out = call.buffers[0].out;
  const auto index = static_cast<size_t>(index_);
  const int64_t own = call.counts[index];
  const size_t own_bytes = row_bytes(in) * static_cast<size_t>(own);
  out_.resize(row_bytes(in) * static_cast<size_t>(total_of(call.counts)));
  pack_rows(in, 0, total_of(call.counts), out_.data());
  in_.resize(own_bytes * ranks_.size());
  std::vector<Piece> to, from;
  std::vector<Rows> ins;
  for (size_t m = 0; m < ranks_.size(); ++m) {
    const auto first = static_cast<size_t>(first_of(call.counts, static_cast<int32_t>(m)));
    to.push_back({first * row_bytes(in), row_bytes(in) * static_cast<size_t>(call.counts[m])});
    from.push_back({m * own_bytes, own_bytes});
    ins.push_back(packed(in, in_.data() + m * own_bytes, own));
  }
  std::copy_n(out_.data() + to[index].offset, own_bytes, in_.data() + from[index].offset);
  std::vector<bool> heard(ranks_.size());
  TRY(exchange(out_, to, in_, from, heard));
  sum_rows(ins, {&out, 1}, {.rows = own, .cols = out.cols});
  return {};
}

// Packs the rows for one member together, buffer after buffer.
Status GlooGroup::send(const Call& call) {
  size_t of_row = 0;  // bytes of a row in all buffers
  for (const Gather& buffer : call.buffers) of_row += row_bytes(buffer.in);
  out_.resize(of_row * static_cast<size_t>(total_of(call.counts)));
  in_.resize(of_row * static_cast<size_t>(total_of(received_)));
  std::vector<Piece> to, from;
  std::byte* packed_to = out_.data();
  for (int32_t m = 0; m < size(); ++m) {
    const int64_t first = first_of(call.counts, m), count = call.counts[static_cast<size_t>(m)];
    to.push_back({of_row * static_cast<size_t>(first), of_row * static_cast<size_t>(count)});
    const int64_t theirs = received_[static_cast<size_t>(m)];
    from.push_back({of_row * static_cast<size_t>(first_of(received_, m)),
                    of_row * static_cast<size_t>(theirs)});
    for (const Gather& buffer : call.buffers) {
      pack_rows(buffer.in, first, count, packed_to);
      packed_to += row_bytes(buffer.in) * static_cast<size_t>(count);
    }
  }
  const auto own = static_cast<size_t>(index_);
  std::copy_n(out_.begin() + static_cast<int64_t>(to[own].offset), to[own].bytes,
              in_.begin() + static_cast<int64_t>(from[own].offset));
  std::vector<bool> heard(ranks_.size());
  TRY(exchange(out_, to, in_, from, heard));
  const std::byte* arrived = in_.data();
  for (int32_t m = 0; m < size(); ++m) {
    const int64_t count = received_[static_cast<size_t>(m)];
    for (const Gather& buffer : call.buffers) {
      unpack_rows(arrived, buffer.out, first_of(received_, m), count);
      arrived += row_bytes(buffer.out) * static_cast<size_t>(count);
    }
  }
  return {};
}

Status GlooGroup::exchange(std::span<std::byte> out, const std::vector<Piece>& to,
                           std::span<std::byte> in, const std::vector<Piece>& from,
                           std::vector<bool>& heard) {
  TRY(status());
  const Clock::time_point start = Clock::now();
  const uint64_t slot = slot_++;
  if (context_ == nullptr) return {};
  try {
    const auto sending = context_->createUnboundBuffer(out.data(), out.size());
    const auto receiving = context_->createUnboundBuffer(in.data(), in.size());
    if (!watch(sending.get(), receiving.get())) return status();
    size_t sends = 0, receives = 0;
    for (int32_t other = 0; other < size(); ++other) {
      const auto m = static_cast<size_t>(other);
      heard[m] = other == index_ || from[m].bytes == 0;
      if (other == index_) continue;
      if (from[m].bytes > 0) receiving->recv(other, slot, from[m].offset, from[m].bytes);
      if (to[m].bytes > 0) sending->send(other, slot, to[m].offset, to[m].bytes);
      receives += from[m].bytes > 0 ? 1 : 0;
      sends += to[m].bytes > 0 ? 1 : 0;
    }
    const bool whole = wait_for_all(*sending, sends, *receiving, receives, heard);
    (void)watch(nullptr, nullptr);
    return whole ? Status() : status();
  } catch (const std::exception& thrown) {
    (void)watch(nullptr, nullptr);
    return fail(lost(heard, start, thrown.what()));
  }
}

// Whether everything was received and sent; false when the group was aborted.
bool GlooGroup::wait_for_all(gloo::transport::UnboundBuffer& out, size_t sends,
                             gloo::transport::UnboundBuffer& in, size_t receives,
                             std::vector<bool>& heard) {
  for (size_t i = 0; i < receives; ++i) {
    int from = -1;
    if (!in.waitRecv(&from, timeout_)) return false;
    heard[static_cast<size_t>(from)] = true;
  }
  for (size_t i = 0; i < sends; ++i) {
    if (!out.waitSend(timeout_)) return false;
  }
  return true;
}

// Lets abort() end the waiting for these buffers. False where the group has failed already.
bool GlooGroup::watch(gloo::transport::UnboundBuffer* out, gloo::transport::UnboundBuffer* in) {
  const std::lock_guard lock(mutex_);
  awaited_ = {out, in};
  if (failure_.ok()) return true;
  awaited_ = {};
  return false;
}

// Why an exchange was not finished: a member was late, or a connection has ended.
Error GlooGroup::lost(const std::vector<bool>& heard, Clock::time_point start,
                      const char* why) const {
  std::vector<int32_t> missing;
  for (size_t m = 0; m < ranks_.size(); ++m) {
    if (!heard[m]) missing.push_back(ranks_[m]);
  }
  const bool late = Clock::now() - start >= timeout_;
  Error error = late ? missed(missing) : lost_rank(why);
  error = std::move(error)
              .with("waiting rank", ranks_[static_cast<size_t>(index_)])
              .with("collective", meetings_ + 1)
              .with("rows", came_with_);
  return late ? std::move(error).with("milliseconds", timeout_.count()) : error;
}

Status GlooGroup::fail(const Error& why) {
  abort(why);
  return status();
}

void GlooGroup::abort(const Error& why) {
  const std::lock_guard lock(mutex_);
  if (failure_.ok()) failure_ = why;
  if (awaited_[0] != nullptr) awaited_[0]->abortWaitSend();
  if (awaited_[1] != nullptr) awaited_[1]->abortWaitRecv();
}

Status GlooGroup::status() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace braid::comm
