#include "flow/audit/fill.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "flow/audit/memory.h"
#include "flow/audit/test_util.h"
#include "flow/random_program_test_util.h"

namespace braid::flow {
namespace {

using testing::Draft;
using testing::Sloppy;
using testing::TestMemory;
using What = AuditFinding::What;

// Audits on the calling thread, in memory that the host uses.
FillAudit audited(const BoundSchedule& bound, const TestMemory& memory,
                  const FillAuditOptions& options = {}) {
  device::CpuDevice device;
  const FillAuditDevice cpu{.memory_of = [&](int32_t) -> device::Device& { return device; },
                            .run_op = [&](size_t op) -> Status {
                              launch(bound, op, options.step);
                              return {};
                            }};
  return audit_by_fill(bound, memory.residents(), memory.workspace(), cpu, options).value();
}

// Three ops in a row, of which the middle one has bugs. Resident 0 is a weight, 1 is carried.
//   op 0: x = mix(weight), with scratch memory
//   op 1: y rows 0 and 1 = sloppy(x rows 0 and 1)
//   op 2: state = mix(state, y rows 0 and 1)
struct Line {
  Schedule schedule;
  LauncherTable table = testing::make_mix_table();
  TestMemory memory;
  BoundSchedule bound;

  static Residents two() {
    Residents residents;
    residents.declare({"weight", Format::i32, 4, 4, Lifetime::weight, 1});
    residents.declare({"state", Format::i32, 4, 4, Lifetime::carried, 1});
    return residents;
  }
  explicit Line(const Sloppy& desc, bool reads_weight = false) : memory(two(), 4096) {
    Draft draft;
    const Value weight = draft.weight("weight", 0), state = draft.carried("state", 1);
    const Value x = draft.step("x", 4), y = draft.step("y", 4);
    const Value in = draft.rows(reads_weight ? weight : x, 0, 2), out = draft.rows(y, 0, 2);
    draft.op(Lane::compute, {.out = {x}, .in = {weight}}, {}, 1024);
    draft.program.ops.push_back({AnyDesc(desc), {out, in}, {2, Role::mlp}, Lane::compute});
    draft.op(Lane::compute, {.inout = {state}, .in = {out}});
    schedule = *compile(draft.program, testing::mix_scratch);
    table.add<Sloppy>({.launch = testing::sloppy});
    bound = *flow::bind(schedule, table, memory.residents(), memory.arena());
  }
  void set(const Sloppy& desc) { schedule.program.ops[1].desc = AnyDesc(desc); }

  // What the audit finds, all of it in the middle op.
  std::vector<AuditFinding> findings() {
    std::vector<AuditFinding> found = audited(bound, memory).findings;
    for (const AuditFinding& finding : found) EXPECT_EQ(finding.op, 1) << finding.text;
    return found;
  }
};

TEST(AuditFillTest, KernelsThatKeepToTheirDeclarations) {
  EXPECT_TRUE(Line({}).findings().empty());
  EXPECT_TRUE(Line({}, /*reads_weight=*/true).findings().empty());
}

TEST(AuditFillTest, WritesARowBehindItsOutput) {
  const auto findings = Line({.writes_behind = 1}).findings();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].what, What::undeclared_write);
  EXPECT_NE(findings[0].text.find("op 1 (layer 2 mlp: sloppy → y [2, 4] i32) changes undeclared "
                                  "memory: y row 2"),
            std::string::npos)
      << findings[0].text;
}

TEST(AuditFillTest, WritesWhatItOnlyReads) {
  const auto findings = Line({.changes_input = true}).findings();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].what, What::read_only_write);
  EXPECT_NE(findings[0].text.find("declares to read only, memory: x row 1"), std::string::npos)
      << findings[0].text;
}

TEST(AuditFillTest, WritesAWeightThatItOnlyReads) {
  Line line({.changes_input = true}, /*reads_weight=*/true);
  const auto before = line.memory.contents();
  const auto findings = line.findings();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].what, What::read_only_write);
  EXPECT_NE(findings[0].text.find("weight row 1"), std::string::npos) << findings[0].text;
  EXPECT_EQ(line.memory.contents()[0], before[0]);  // put back
}

TEST(AuditFillTest, ReadsARowBehindItsInput) {
  const auto findings = Line({.reads_behind = 1}).findings();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].what, What::undeclared_read);
  EXPECT_NE(findings[0].text.find("(layer 2 mlp: sloppy → y [2, 4] i32) reads what it doesn't"),
            std::string::npos)
      << findings[0].text;
  EXPECT_NE(findings[0].text.find("changes what it writes: y row 0"), std::string::npos)
      << findings[0].text;
}

TEST(AuditFillTest, TouchesAnotherOpsScratchMemory) {
  Line line({});
  const Extent& scratch = line.schedule.scratch[0];
  ASSERT_GE(scratch.offset, 0);
  const int64_t last = scratch.offset + scratch.bytes - 1;  // a place that x and y don't have
  for (const size_t buffer : {2u, 3u}) {
    const Extent& place = line.schedule.buffers[buffer];
    ASSERT_TRUE(last < place.offset || place.offset + place.bytes <= last) << buffer;
  }
  line.set({.strays_to = last - line.schedule.buffers[3].offset});
  const auto findings = line.findings();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].what, What::undeclared_write);
  EXPECT_NE(findings[0].text.find("at times scratch of op 0"), std::string::npos)
      << findings[0].text;
}

// A write of the bytes that undeclared memory is filled with.
TEST(AuditFillTest, WritesTheFillItself) {
  Draft draft;
  const Value count = draft.carried("state", 1), x = draft.step("x", 4);
  draft.op(Lane::compute, {.out = {draft.rows(x, 0, 2)}, .in = {count}});
  LauncherTable table;
  table.add<testing::Mix>({.launch = [](const testing::Mix&, Args args, Workspace) {
    const Arg& out = args[testing::MixOperand::out0];
    std::memset(out.data, 0xff, static_cast<size_t>(3 * out.stride));
  }});
  const Schedule schedule = *compile(draft.program);
  const TestMemory memory(Line::two(), schedule.workspace_bytes);
  const auto bound = *flow::bind(schedule, table, memory.residents(), memory.arena());
  const FillAudit audit = audited(bound, memory);
  ASSERT_EQ(audit.findings.size(), 1u);
  EXPECT_EQ(audit.findings[0].what, What::undeclared_write);
}

TEST(AuditFillTest, LargeWeightsAreNamedInsteadOfCompared) {
  Line line({.changes_input = true}, /*reads_weight=*/true);
  const FillAudit audit = audited(line.bound, line.memory, {.most_weight_bytes = 63});
  for (const AuditFinding& finding : audit.findings) EXPECT_NE(finding.what, What::read_only_write);
  EXPECT_EQ(audit.not_compared, std::vector<std::string>{"weight"});
  EXPECT_TRUE(audited(line.bound, line.memory, {.most_weight_bytes = 64}).not_compared.empty());
}

TEST(AuditFillTest, EndsWhereAnOpFails) {
  Line line({});
  device::CpuDevice device;
  size_t runs = 0;
  const FillAuditDevice failing{
      .memory_of = [&](int32_t) -> device::Device& { return device; },
      .run_op = [&](size_t) -> Status {
        return ++runs < 3 ? Status() : Status(Error(ErrorKind::fault, "the device is lost"));
      }};
  const auto audit =
      audit_by_fill(line.bound, line.memory.residents(), line.memory.workspace(), failing, {});
  ASSERT_FALSE(audit.ok());
  EXPECT_EQ(audit.error().kind(), ErrorKind::fault);
  EXPECT_EQ(runs, 3u);
}

TEST(AuditFillTest, RandomProgramsPassAndLeaveMemoryAsASerialRun) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const auto step = static_cast<int64_t>(seed);
    const Schedule schedule = *compile(testing::random_program(seed), testing::mix_scratch);
    TestMemory memory(testing::random_residents(), schedule.workspace_bytes);
    const auto bound =
        *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
    run_serial(bound, step);
    const auto serial = memory.contents();
    memory.fill();
    const FillAudit audit = audited(bound, memory, {.step = step});
    for (const AuditFinding& finding : audit.findings)
      ADD_FAILURE() << seed << ": " << finding.text;
    EXPECT_EQ(memory.contents(), serial) << seed;
  }
}

// Whether anything but weights is declared differently, so that the audit can see it.
bool is_visible(const AuditedMemory& memory, const DeclarationMutation& mutation) {
  const Declared truth = memory.declared(mutation.op);
  const Declared mutant = memory.declared(mutation.op, mutation);
  for (size_t i = 0; i < memory.pieces().size(); ++i) {
    const bool same =
        mutant.readable[i] == truth.readable[i] && mutant.writable[i] == truth.writable[i];
    if (!same && !memory.pieces()[i].constant) return true;
  }
  return false;
}

TEST(AuditFillTest, EveryMutationOfRandomPrograms) {
  int64_t caught = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Schedule schedule =
        *compile(testing::random_program(seed, {.ops = 16, .counts = false}), testing::mix_scratch);
    TestMemory memory(testing::random_residents(), schedule.workspace_bytes);
    const auto bound =
        *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
    const AuditedMemory audited_memory(bound, memory.residents(), memory.workspace(), 0);
    for (size_t op = 0; op < bound.ops.size(); ++op) {
      for (const auto& mutation : mutations_of(schedule.program, static_cast<int32_t>(op))) {
        if (!is_visible(audited_memory, mutation)) continue;
        memory.fill();
        const FillAudit audit = audited(bound, memory, {.mutation = mutation});
        EXPECT_FALSE(audit.findings.empty())
            << seed << ": op " << op << " operand " << mutation.operand << " kind "
            << static_cast<int>(mutation.kind);
        for (const AuditFinding& finding : audit.findings) {
          EXPECT_EQ(finding.op, mutation.op) << finding.text;
        }
        ++caught;
      }
    }
  }
  fmt::print("mutated declarations: {} caught\n", caught);
  EXPECT_GT(caught, 200);
}

// The row count that a kernel reads is a declaration too.
TEST(AuditFillTest, CountsAreDeclarationsToo) {
  Draft draft;
  const Value count = draft.carried("state", 1);  // its first word: rows 0x03020100, all
  const Value x = draft.step("x", 4);
  draft.op(Lane::compute, {.out = {draft.counted(x, draft.rows(count, 0, 1))}});
  const Schedule schedule = *compile(draft.program);
  const TestMemory memory(Line::two(), schedule.workspace_bytes);
  const auto bound =
      *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
  EXPECT_TRUE(audited(bound, memory).findings.empty());
  const DeclarationMutation dropped{0, 2, true, DeclarationMutation::Kind::drop};
  const FillAudit audit = audited(bound, memory, {.mutation = dropped});
  ASSERT_EQ(audit.findings.size(), 1u);
  EXPECT_EQ(audit.findings[0].what, What::undeclared_read);
}

}  // namespace
}  // namespace braid::flow
