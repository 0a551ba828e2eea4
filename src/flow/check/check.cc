#include "flow/check/check.h"

#include <fmt/format.h>

#include "flow/check/access.h"
#include "flow/check/order.h"

namespace braid::flow {
namespace check {
namespace {

constexpr int32_t kNobody = -1;
constexpr int32_t kScratch = -2;  // in place of a buffer: a kernel's scratch memory

// Who touched a stretch of memory last, in program order. Earlier accesses were found to end
// before the writer starts, so whatever comes after the writer comes after them too.
struct Last {
  int32_t writer = kNobody;
  int32_t buffer = kNobody;  // through which it was written
  std::array<int32_t, kNumLanes> readers = {kNobody, kNobody, kNobody, kNobody};
};

// An access in the address space of its memory: the workspace, or a resident.
struct Touch {
  SegmentMap<Last>* space = nullptr;
  int32_t buffer = kNobody;
  int64_t base = 0;  // address of the buffer's first byte
  int64_t first = 0;
  int64_t last = 0;
  bool read = false;
  bool written = false;
};

// Walks the ops in program order and proves each access against the last ones of its memory.
class Hazards {
 public:
  Hazards(const Schedule& schedule, const Order& order)
      : schedule_(schedule),
        program_(schedule.program),
        order_(order),
        spaces_(program_),
        residents_(spaces_.first_buffer.size()),
        written_(program_.buffers.size()) {}

  Status run() {
    for (size_t op = 0; op < program_.ops.size(); ++op) {
      op_ = static_cast<int32_t>(op);
      collect();
      TRY(check_aliases());
      for (const Touch& touch : touches_) TRY(check(touch));
      for (const Touch& touch : touches_) record(touch);
    }
    return {};
  }

  int64_t pairs() const { return pairs_; }

 private:
  void collect() {
    touches_.clear();
    for_each_access(program_, op_, [&](const RowAccess& access) {
      const Buffer& buffer = buffer_at(program_, access.buffer);
      if (buffer.lifetime == Lifetime::weight || access.first >= access.last) return;
      const auto index = static_cast<size_t>(access.buffer);
      const bool step = buffer.lifetime == Lifetime::step;
      Touch touch;
      touch.space = step ? &workspace_ : &residents_[static_cast<size_t>(spaces_.of_buffer[index])];
      touch.buffer = access.buffer;
      touch.base = step ? schedule_.buffers[index].offset : 0;
      touch.first = touch.base + access.first * buffer.row_bytes;
      touch.last = touch.base + access.last * buffer.row_bytes;
      touch.read = access.read;
      touch.written = access.written;
      touches_.push_back(touch);
    });
    const Extent& scratch = schedule_.scratch[static_cast<size_t>(op_)];
    if (scratch.offset < 0 || scratch.bytes == 0) return;
    touches_.push_back({&workspace_, kScratch, scratch.offset, scratch.offset,
                        scratch.offset + scratch.bytes, false, true});
  }

  // A kernel doesn't expect one operand's memory under another.
  Status check_aliases() const {
    for (size_t i = 0; i < touches_.size(); ++i) {
      for (size_t j = i + 1; j < touches_.size(); ++j) {
        const Touch& a = touches_[i];
        const Touch& b = touches_[j];
        if (a.buffer == b.buffer || a.space != b.space || !(a.written || b.written) ||
            a.first >= b.last || b.first >= a.last) {
          continue;
        }
        return Error(ErrorKind::internal, "an op has two operands in the same memory")
            .with("op", op_text(program_, op_))
            .with("lane", lane_of(op_))
            .with("first", label(a.buffer))
            .with("second", label(b.buffer))
            .with("rows",
                  rows(b.buffer, b.base, std::max(a.first, b.first), std::min(a.last, b.last)));
      }
    }
    return {};
  }

  Status check(const Touch& touch) {
    for (const auto& segment : touch.space->at(touch.first, touch.last)) {
      TRY(check_order(segment.state.writer, touch, segment));
      if (touch.written) {
        for (const int32_t reader : segment.state.readers) {
          TRY(check_order(reader, touch, segment));
        }
      }
      if (touch.space == &workspace_ && touch.buffer != kScratch) {
        TRY(check_content(touch, segment));
      }
    }
    return {};
  }

  using Segment = SegmentMap<Last>::Segment;

  Status check_order(int32_t earlier, const Touch& touch, const Segment& segment) {
    if (earlier == kNobody) return {};
    ++pairs_;
    if (order_.before(earlier, op_)) return {};
    const bool reversed = order_.before(op_, earlier);
    return Error(ErrorKind::internal, reversed
                                          ? "two ops touch the same memory against program order"
                                          : "two ops touch the same memory in no order")
        .with("first in the Program", op_text(program_, earlier))
        .with("second", op_text(program_, op_))
        .with("lanes", fmt::format("{}, {}", lane_of(earlier), lane_of(op_)))
        .with("buffer", segment.state.buffer == touch.buffer || segment.state.buffer == kNobody
                            ? label(touch.buffer)
                            : label(segment.state.buffer) + ", " + label(touch.buffer))
        .with("rows", rows(touch.buffer, touch.base, segment.first, segment.last));
  }

  // From its first write to its last use a row's memory belongs to its buffer alone.
  Status check_content(const Touch& touch, const Segment& segment) {
    if (segment.state.buffer == touch.buffer) return {};
    const int64_t first = segment.first - touch.base;
    const int64_t last = segment.last - touch.base;
    bool had_content = false;
    for (const auto& own : written_[static_cast<size_t>(touch.buffer)].at(first, last)) {
      had_content = had_content || own.state;
    }
    if (!had_content && !touch.read) return {};
    const std::string of_rows = rows(touch.buffer, touch.base, segment.first, segment.last);
    if (!had_content) {
      return Error(ErrorKind::internal, "an op reads rows that no earlier op wrote")
          .with("op", op_text(program_, op_))
          .with("lane", lane_of(op_))
          .with("buffer", label(touch.buffer))
          .with("rows", of_rows);
    }
    return Error(ErrorKind::internal, "a step buffer was overwritten while it is in use")
        .with("overwritten by", op_text(program_, segment.state.writer))
        .with("as", label(segment.state.buffer))
        .with("op", op_text(program_, op_))
        .with("lanes", fmt::format("{}, {}", lane_of(segment.state.writer), lane_of(op_)))
        .with("buffer", label(touch.buffer))
        .with("rows", of_rows);
  }

  void record(const Touch& touch) {
    if (touch.written) {
      Last last;
      last.writer = op_;
      last.buffer = touch.buffer;
      touch.space->set(touch.first, touch.last, last);
      if (touch.space == &workspace_ && touch.buffer != kScratch) {
        written_[static_cast<size_t>(touch.buffer)].set(touch.first - touch.base,
                                                        touch.last - touch.base, true);
      }
      return;
    }
    const size_t lane = index_of(op_at(program_, op_).lane);
    for (auto& segment : touch.space->at(touch.first, touch.last)) {
      int32_t& reader = segment.state.readers[lane];
      // The last one of the lane stands for all; lanes need not follow program order.
      if (reader == kNobody || order_.before(reader, op_)) reader = op_;
    }
  }

  std::string label(int32_t buffer) const {
    return buffer == kScratch ? "scratch" : std::string(buffer_at(program_, buffer).label);
  }
  std::string_view lane_of(int32_t op) const { return name_of(op_at(program_, op).lane); }
  std::string rows(int32_t buffer, int64_t base, int64_t first, int64_t last) const {
    if (buffer == kScratch) return fmt::format("bytes [{}, {})", first - base, last - base);
    return rows_text(buffer_at(program_, buffer), first - base, last - base);
  }

  const Schedule& schedule_;
  const Program& program_;
  const Order& order_;
  ResidentSpaces spaces_;
  SegmentMap<Last> workspace_;
  std::vector<SegmentMap<Last>> residents_;
  std::vector<SegmentMap<bool>> written_;  // per step buffer: its bytes that were ever written
  std::vector<Touch> touches_;             // of op_
  int32_t op_ = 0;
  int64_t pairs_ = 0;
};

}  // namespace
}  // namespace check

Result<CheckReport> check_schedule(const Schedule& schedule) {
  TRY(check::check_shape(schedule));
  const Launch launch{&schedule, 0, {}};
  const std::span<const Launch> rank(&launch, 1);
  const check::Order order = TRY(check::Order::derive({&rank, 1}, {}));
  check::Hazards hazards(schedule, order);
  TRY(hazards.run());
  TRY(check::check_overlaps(schedule));
  TRY(check::check_summary(schedule));
  return CheckReport{static_cast<int64_t>(schedule.program.ops.size()), hazards.pairs(),
                     order.meetings()};
}

}  // namespace braid::flow
