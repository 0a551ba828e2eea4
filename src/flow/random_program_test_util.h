// For tests: random Programs that are valid serially, on 1 to 4 lanes, with in-place ops, carried
// state of one and two copies, partial rows and columns, counts, scratch memory and collectives.
#pragma once

#include <cstdlib>
#include <random>

#include "flow/compile.h"
#include "flow/test_kinds.h"

namespace braid::flow::testing {

// Collectives that all ranks issue, in order. Each also orders the memory that ranks share.
struct Meeting {
  int32_t communicator = 0;
  uint64_t signature = 0;
  bool barrier = true;
};

struct RandomOptions {
  int ops = 24;                   // at most
  bool counts = true;             // some Values have a device count, of any value
  int64_t word = 4;               // rows of step buffers are multiples of this many bytes
  std::vector<Meeting> meetings;  // spread over the ops, on lane comm
  int rank = 0;
  int ranks = 1;
  bool peers = false;       // ops between meetings touch a resident of rank 0
  bool peer_races = false;  // and some without regard for whose turn it is
};

constexpr int32_t kNumWeights = 2;
constexpr int32_t kNumCarried = 4;  // residents 2, 3: one copy; 4, 5: two copies
constexpr int32_t kPeerResident = kNumWeights + kNumCarried;
constexpr int64_t kRows = 6;

class RandomProgram {
 public:
  RandomProgram(uint64_t seed, RandomOptions options)
      : random_(seed), options_(std::move(options)) {}

  Program build() {
    for (int32_t i = 0; i < kNumWeights; ++i) weights_.push_back(draft_.weight("weight", i, kRows));
    for (int32_t i = 0; i < kNumCarried; ++i) {
      const int32_t copies = i < kNumCarried / 2 ? 1 : 2;
      carried_.push_back(draft_.carried("carried", kNumWeights + i, kRows, copies));
    }
    if (options_.peers) {
      peer_ = draft_.carried("peer", kPeerResident, kRows, 1, options_.rank == 0 ? -1 : 0);
    }
    num_lanes_ = pick(1, 4);
    const int ops = pick(3, options_.ops);
    for (int i = 0; i < ops; ++i) {
      const int left = static_cast<int>(options_.meetings.size()) - met_;
      if (left > 0 && pick(0, ops - i - 1) < left) {
        meet();
      } else {
        compute();
      }
    }
    while (met_ < static_cast<int>(options_.meetings.size())) meet();
    return std::move(draft_.program);
  }

 private:
  // A step buffer that is still in use, and which of its rows were written.
  struct Live {
    Value value;
    int64_t first = 0;
    int64_t last = 0;
  };

  int pick(int low, int high) {
    return low + static_cast<int>(random_() % static_cast<uint64_t>(high - low + 1));
  }
  bool chance(int percent) { return pick(1, 100) <= percent; }

  Value some_rows(Value value, int64_t first, int64_t last) {
    if (last - first < 2 || chance(50)) return draft_.rows(value, first, last - first);
    const int64_t from = first + pick(0, static_cast<int>(last - first) - 1);
    return draft_.rows(value, from, pick(1, static_cast<int>(last - from)));
  }
  Value some_columns(Value value) {
    const int cols = static_cast<int>(draft_.program.info(value).cols);
    if (cols < 2 || chance(75)) return value;
    const int first = pick(0, cols - 1);
    return draft_.columns(value, first, pick(1, cols - first));
  }
  Value with_count(Value value) {
    if (!count_.present() || !chance(20)) return value;
    return draft_.counted(value, count_);
  }

  // What an op reads: a weight, carried rows, or written rows of a live step buffer.
  Value read() {
    if (live_.empty() || chance(20)) {
      return some_rows(chance(50) ? weights_[random_() % weights_.size()]
                                  : carried_[random_() % carried_.size()],
                       0, kRows);
    }
    const Live& live = live_[random_() % live_.size()];
    return with_count(some_columns(some_rows(live.value, live.first, live.last)));
  }

  // A new step buffer, or more rows of a live one: written rows stay one range.
  Value write(std::vector<Live>& fresh) {
    if (chance(15)) return some_rows(carried_[random_() % carried_.size()], 0, kRows);
    if (!live_.empty() && chance(30)) {
      Live& live = live_[random_() % live_.size()];
      const int64_t rows = draft_.program.info(live.value).rows;
      if (chance(50)) return some_columns(some_rows(live.value, live.first, live.last));
      fresh.push_back({live.value, 0, rows});  // grows only when the op has been added
      return live.value;
    }
    const int64_t rows = pick(1, kRows);
    const Value value = draft_.step("step", rows, options_.word * pick(1, 20));
    const int64_t first = chance(70) ? 0 : pick(0, static_cast<int>(rows) - 1);
    fresh.push_back(
        {value, first,
         chance(70) ? rows : pick(static_cast<int>(first) + 1, static_cast<int>(rows))});
    return draft_.rows(value, first, fresh.back().last - first);
  }

  void compute() {
    if (options_.counts && !count_.present() && chance(30)) {
      const Value source = read();
      count_ = draft_.step("count", 1, 4);
      draft_.op(lane(), {.out = {count_}, .in = {source}});
      return;
    }
    Operands operands;
    std::vector<Live> fresh;
    for (int i = pick(0, 3); i > 0; --i) operands.in.push_back(read());
    if (chance(30)) operands.inout.push_back(inout());
    for (int i = pick(operands.inout.empty() ? 1 : 0, 2); i > 0; --i) {
      operands.out.push_back(write(fresh));
    }
    if (peer_.present() && chance(40)) touch_peer(operands);
    const int64_t scratch = chance(20) ? 4 * pick(1, 40) : 0;
    draft_.op(lane(), operands, {}, scratch);
    keep(fresh);
  }

  void keep(const std::vector<Live>& fresh) {
    for (const Live& grown : fresh) {
      std::erase_if(live_, [&](const Live& live) { return live.value == grown.value; });
      live_.push_back(grown);
    }
    while (live_.size() > 5) live_.erase(live_.begin() + pick(0, 5));
  }

  Value inout() {
    if (live_.empty() || chance(30)) {
      return some_rows(carried_[random_() % carried_.size()], 0, kRows);
    }
    const Live& live = live_[random_() % live_.size()];
    return some_columns(some_rows(live.value, live.first, live.last));
  }

  // Between two meetings one rank writes, or all read.
  void touch_peer(Operands& operands) {
    const bool my_turn = met_ % (options_.ranks + 1) == options_.rank;
    const bool all_read = met_ % (options_.ranks + 1) == options_.ranks;
    const bool race = options_.peer_races && chance(30);
    if (my_turn || race) operands.inout.push_back(peer_);
    if (all_read && !race) operands.in.push_back(some_rows(peer_, 0, kRows));
  }

  void meet() {
    const Meeting& meeting = options_.meetings[static_cast<size_t>(met_++)];
    Operands operands;
    operands.in.push_back(read());
    if (chance(50)) operands.inout.push_back(inout());
    if (peer_.present()) operands.inout.push_back(peer_);  // the meeting orders it
    draft_.meet(meeting.communicator, meeting.signature, operands, meeting.barrier);
  }

  Lane lane() { return kLanes[random_() % static_cast<uint64_t>(num_lanes_)]; }

  std::mt19937_64 random_;
  RandomOptions options_;
  Draft draft_;
  std::vector<Value> weights_;
  std::vector<Value> carried_;
  std::vector<Live> live_;
  Value count_;
  Value peer_;
  int num_lanes_ = 1;
  int met_ = 0;
};

// How many random cases a test tries: more with BRAID_LONG set, fewer where sanitizers are slow.
inline int64_t num_cases(int64_t usual, int64_t many) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  usual /= 10;
  many /= 10;
#endif
  return std::getenv("BRAID_LONG") != nullptr ? many : usual;
}

inline Program random_program(uint64_t seed, const RandomOptions& options = {}) {
  return RandomProgram(seed, options).build();
}

inline int64_t mix_scratch(const Op& op, std::span<const Type>) {
  return op.desc.is<Mix>() ? op.desc.as<Mix>().scratch_bytes : 0;
}

// The residents that random Programs name; memory is the caller's.
inline Residents random_residents() {
  Residents residents;
  for (int32_t i = 0; i <= kPeerResident; ++i) {
    const int32_t copies = i >= kNumWeights + kNumCarried / 2 && i < kPeerResident ? 2 : 1;
    residents.declare({i < kNumWeights ? "weight" : "carried", Format::i32, kRows, 4,
                       i < kNumWeights ? Lifetime::weight : Lifetime::carried, copies});
  }
  return residents;
}

}  // namespace braid::flow::testing
