// What the checker knows about stretches of an address space, byte by byte, in few pieces.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace braid::flow::check {

// A map from [first, last) ranges to states. Where nothing was noted yet the state is State{}.
template <typename State>
class SegmentMap {
 public:
  struct Segment {
    int64_t first = 0;
    int64_t last = 0;
    State state;
  };

  // The segments that tile [first, last), cut at its ends. Valid until the next call.
  std::span<Segment> at(int64_t first, int64_t last) {
    if (first >= last) return {};
    size_t i = find(first);
    if (i < segments_.size() && segments_[i].first < first) split(i++, first);
    const size_t begin = i;
    for (int64_t reached = first; reached < last; reached = segments_[i++].last) {
      const int64_t next = i < segments_.size() ? std::min(segments_[i].first, last) : last;
      if (next > reached) {
        insert(i, Segment{reached, next, State{}});
      } else if (segments_[i].last > last) {
        split(i, last);
      }
    }
    return {segments_.data() + begin, i - begin};
  }

  // Makes [first, last) one segment of this state.
  void set(int64_t first, int64_t last, const State& state) {
    const std::span<Segment> old = at(first, last);
    if (old.empty()) return;
    old.front() = {first, last, state};
    const auto begin = segments_.begin() + (old.data() - segments_.data());
    segments_.erase(begin + 1, begin + static_cast<int64_t>(old.size()));
  }

  std::span<const Segment> all() const { return segments_; }

 private:
  // The first segment that ends behind `address`.
  size_t find(int64_t address) const {
    const auto found =
        std::partition_point(segments_.begin(), segments_.end(),
                             [&](const Segment& segment) { return segment.last <= address; });
    return static_cast<size_t>(found - segments_.begin());
  }
  void insert(size_t i, const Segment& segment) {
    segments_.insert(segments_.begin() + static_cast<int64_t>(i), segment);
  }
  // Cuts segment i into [first, address) at i and [address, last) at i + 1.
  void split(size_t i, int64_t address) {
    insert(i, segments_[i]);
    segments_[i].last = address;
    segments_[i + 1].first = address;
  }

  std::vector<Segment> segments_;  // ascending, disjoint
};

}  // namespace braid::flow::check
