// For tests: kinds of ops whose kernels mix hashes, so that any misorder changes the result, and a
// short way to write Programs of them.
#pragma once

#include "flow/launcher.h"
#include "flow/residents.h"

namespace braid::flow::testing {

// Reads every byte that it declares to read, writes hashes to all that it declares to write.
struct Mix {
  uint64_t seed = 0;
  int64_t scratch_bytes = 0;
};

// The same, as a collective.
struct Meet {
  uint64_t seed = 0;
  int64_t scratch_bytes = 0;
  int32_t communicator = 0;
  uint64_t signature = 0;
  bool barrier = false;
};

struct MixOperand {
  enum : size_t { inout0, inout1, out0, out1, out2, in0, in1, in2, in3, num_operands };
};

inline constexpr auto kMixOperands = operand_specs<MixOperand>({
    {MixOperand::inout0, "inout0", Access::read_write, Slicing::rows, true},
    {MixOperand::inout1, "inout1", Access::read_write, Slicing::rows, true},
    {MixOperand::out0, "out0", Access::write, Slicing::rows, true},
    {MixOperand::out1, "out1", Access::write, Slicing::rows, true},
    {MixOperand::out2, "out2", Access::write, Slicing::rows, true},
    {MixOperand::in0, "in0", Access::read, Slicing::rows, true},
    {MixOperand::in1, "in1", Access::read, Slicing::rows, true},
    {MixOperand::in2, "in2", Access::read, Slicing::whole, true},
    {MixOperand::in3, "in3", Access::read, Slicing::whole, true},
});

inline uint64_t scramble(uint64_t state) {
  state = (state ^ (state >> 31)) * 0x9e3779b97f4a7c15u;
  return state ^ (state >> 29);
}

// Views are of i32 elements.
inline void mix(uint64_t seed, Args args, Workspace scratch) {
  auto* words = reinterpret_cast<uint32_t*>(scratch.data);
  const auto num_words = static_cast<uint64_t>(scratch.bytes) / sizeof(uint32_t);
  for (uint64_t i = 0; i < num_words; ++i) words[i] = static_cast<uint32_t>(scramble(seed + i));
  uint64_t state = seed;
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i].data == nullptr || kMixOperands[i].access == Access::write) continue;
    for (int64_t row = 0; row < args[i].live_rows(); ++row) {
      for (int64_t col = 0; col < args[i].cols; ++col) {
        state = scramble(state + args[i].row<uint32_t>(row)[col]);
      }
    }
  }
  for (uint64_t i = 0; i < num_words; ++i) state = scramble(state + words[i]);
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i].data == nullptr || kMixOperands[i].access == Access::read) continue;
    for (int64_t row = 0; row < args[i].live_rows(); ++row) {
      for (int64_t col = 0; col < args[i].cols; ++col) {
        args[i].row<uint32_t>(row)[col] = static_cast<uint32_t>(state = scramble(state + i));
      }
    }
  }
}

inline LauncherTable make_mix_table() {
  LauncherTable table;
  table.add<Mix>(
      {.workspace_bytes = [](const Mix& desc, std::span<const Type>) { return desc.scratch_bytes; },
       .launch = [](const Mix& desc, Args args,
                    Workspace scratch) { mix(desc.seed, args, scratch); }});
  table.add<Meet>({.workspace_bytes = [](const Meet& desc,
                                         std::span<const Type>) { return desc.scratch_bytes; },
                   .launch = [](const Meet& desc, Args args,
                                Workspace scratch) { mix(desc.seed, args, scratch); }});
  return table;
}

// The same table for the whole process: bound Schedules keep pointers into it.
inline const LauncherTable& mix_table() {
  static const LauncherTable kTable = make_mix_table();
  return kTable;
}

// Operands of an op by how they are accessed; at most 2, 3 and 4.
struct Operands {
  std::vector<Value> inout, out, in;
};

// A Program under construction, of i32 Values.
struct Draft {
  Program program;

  Value add(const Buffer& buffer) {
    program.buffers.push_back(buffer);
    program.values.push_back({.buffer = static_cast<int32_t>(program.buffers.size()) - 1,
                              .format = Format::i32,
                              .rows = buffer.rows,
                              .cols = buffer.row_bytes / 4,
                              .region_rows = buffer.rows,
                              .stride = buffer.row_bytes});
    return last();
  }
  Value step(std::string_view label, int64_t rows = 4, int64_t row_bytes = 16) {
    return add({.label = label, .rows = rows, .row_bytes = row_bytes});
  }
  Value resident(std::string_view label, Lifetime lifetime, int32_t index, int64_t rows = 4,
                 int32_t copies = 1, int32_t owner = -1) {
    return add({label, lifetime, index, owner, copies, rows, 16});
  }
  Value carried(std::string_view label, int32_t index, int64_t rows = 4, int32_t copies = 1,
                int32_t owner = -1) {
    return resident(label, Lifetime::carried, index, rows, copies, owner);
  }
  Value weight(std::string_view label, int32_t index, int64_t rows = 4) {
    return resident(label, Lifetime::weight, index, rows);
  }
  Value rows(Value value, int64_t first, int64_t count) {
    ValueInfo view = program.info(value);
    view.first_row += first;
    view.offset += first * view.stride;
    view.rows = view.region_rows = count;
    program.values.push_back(view);
    return last();
  }
  Value columns(Value value, int64_t first, int64_t count) {
    ValueInfo view = program.info(value);
    view.first_col += first;
    view.offset += first * 4;
    view.cols = count;
    program.values.push_back(view);
    return last();
  }
  Value counted(Value value, Value count) {
    ValueInfo view = program.info(value);
    view.count = count;
    program.values.push_back(view);
    return last();
  }

  // Returns the op's index. Its seed is its index: every op computes something else.
  int32_t op(Lane lane, const Operands& operands, Scope scope = {}, int64_t scratch_bytes = 0) {
    return append(AnyDesc(Mix{program.ops.size() + 1, scratch_bytes}), lane, operands, scope);
  }
  int32_t meet(int32_t communicator, uint64_t signature, const Operands& operands,
               bool barrier = false) {
    return append(AnyDesc(Meet{program.ops.size() + 1, 0, communicator, signature, barrier}),
                  Lane::comm, operands, {});
  }

 private:
  Value last() const { return {static_cast<int32_t>(program.values.size()) - 1}; }
  int32_t append(AnyDesc desc, Lane lane, const Operands& operands, Scope scope) {
    Op op{desc, {}, scope, lane};
    const auto fill = [&](const std::vector<Value>& values, size_t places) {
      BRAID_CHECK(values.size() <= places, "({} operands)", values.size());
      for (size_t i = 0; i < places; ++i) {
        op.operands.push_back(i < values.size() ? values[i] : Value{});
      }
    };
    fill(operands.inout, 2);
    fill(operands.out, 3);
    fill(operands.in, 4);
    program.ops.push_back(op);
    return static_cast<int32_t>(program.ops.size()) - 1;
  }
};

}  // namespace braid::flow::testing

namespace braid::flow {

template <>
inline const KindInfo& kind_of<testing::Mix>() {
  static const KindInfo kInfo{.name = "mix", .operands = testing::kMixOperands};
  return kInfo;
}

template <>
inline const KindInfo& kind_of<testing::Meet>() {
  static const KindInfo kInfo{
      .name = "meet",
      .operands = testing::kMixOperands,
      .home = Lane::comm,
      .collective = [](const void* desc, std::span<const Type>) -> std::optional<Collective> {
        const auto& meet = *static_cast<const testing::Meet*>(desc);
        return Collective{meet.communicator, meet.signature, meet.barrier};
      }};
  return kInfo;
}

}  // namespace braid::flow
