#include "flow/audit/audit.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "flow/audit/test_util.h"
#include "flow/random_program_test_util.h"

namespace braid::flow {
namespace {

using testing::Draft;
using testing::Sloppy;
using testing::TestMemory;
using What = AuditFinding::What;

bool sees_reads() { return audit_sees_reads().ok(); }

TEST(AuditTest, SaysWhatThisBuildSees) {
#if defined(__SANITIZE_ADDRESS__)
  EXPECT_TRUE(sees_reads());
#else
  EXPECT_EQ(audit_sees_reads().error().kind(), ErrorKind::unsupported);
  EXPECT_NE(audit_sees_reads().to_string().find("asan preset"), std::string::npos);
#endif
}

// Residents 0 weight [4, 4], 1 state [4, 4]; the op reads rows 1 and 2 of the one and writes rows
// 0 and 1 of the other.
struct SloppyOp {
  Schedule schedule;
  LauncherTable table;
  TestMemory memory;
  BoundSchedule bound;

  static Residents two() {
    Residents residents;
    residents.declare({"weight", Format::i32, 4, 4, Lifetime::weight, 1});
    residents.declare({"state", Format::i32, 4, 4, Lifetime::carried, 1});
    return residents;
  }
  explicit SloppyOp(const Sloppy& desc) : memory(two(), 256) {
    Draft draft;
    const Value in = draft.rows(draft.weight("weight", 0), 1, 2);
    const Value out = draft.rows(draft.carried("state", 1), 0, 2);
    draft.program.ops.push_back({AnyDesc(desc), {out, in}, {2, Role::mlp}, Lane::compute});
    schedule = *compile(draft.program);
    table.add<Sloppy>({.launch = testing::sloppy});
    bound = *flow::bind(schedule, table, memory.residents(), memory.arena());
  }
  std::vector<AuditFinding> findings(std::optional<DeclarationMutation> mutation = {}) {
    return audit(bound, memory.residents(), memory.workspace(), 0, mutation);
  }
};

TEST(AuditTest, AKernelThatKeepsToItsDeclarations) { EXPECT_TRUE(SloppyOp({}).findings().empty()); }

TEST(AuditTest, WritesBehindTheOutput) {
  const auto findings = SloppyOp({.writes_behind = 2}).findings();
  ASSERT_EQ(findings.size(), sees_reads() ? 2u : 1u);
  EXPECT_EQ(findings.back().op, 0);
  EXPECT_EQ(findings.back().what, What::undeclared_write);
  EXPECT_EQ(findings.back().text,
            "op 0 (layer 2 mlp: sloppy → state [2, 4] i32) changes undeclared memory: state row 2");
  if (!sees_reads()) return;
  EXPECT_EQ(findings.front().what, What::undeclared_access);
  EXPECT_EQ(findings.front().text,
            "op 0 (layer 2 mlp: sloppy → state [2, 4] i32) writes undeclared memory: state row 2");
}

TEST(AuditTest, WritesWhatItOnlyReads) {
  const auto findings = SloppyOp({.changes_input = true}).findings();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].what, What::read_only_write);
  EXPECT_NE(findings[0].text.find("declares to read only, memory: weight row 2"), std::string::npos)
      << findings[0].text;
}

TEST(AuditTest, ReadsBehindTheInput) {
  if (!sees_reads()) GTEST_SKIP() << audit_sees_reads().to_string();
  const auto findings = SloppyOp({.reads_behind = 3}).findings();
  ASSERT_EQ(findings.size(), 1u);  // one report an op, however many reads
  EXPECT_EQ(findings[0].what, What::undeclared_access);
  EXPECT_NE(findings[0].text.find("reads undeclared memory: weight row 3"), std::string::npos)
      << findings[0].text;
}

TEST(AuditTest, MutatedDeclarations) {
  using Kind = DeclarationMutation::Kind;
  EXPECT_FALSE(SloppyOp({}).findings({{0, 0, false, Kind::drop}}).empty());
  EXPECT_FALSE(SloppyOp({}).findings({{0, 0, false, Kind::drop_write}}).empty());
  EXPECT_EQ(!SloppyOp({}).findings({{0, 1, false, Kind::drop}}).empty(), sees_reads());
}

// Other errors still end the process where the audit's binary meets them.
TEST(AuditDeathTest, OtherReportsAreFatal) {
  if (!sees_reads()) GTEST_SKIP() << audit_sees_reads().to_string();
  const auto read_behind = [] {
    const std::vector<int> words(3, 1);
    volatile size_t index = 3;
    std::exit(words.data()[index] == 1 ? 0 : 2);
  };
  EXPECT_EXIT(read_behind(), ::testing::ExitedWithCode(1), "heap-buffer-overflow");
}

TEST(AuditTest, LeavesMemoryAsASerialRun) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Schedule schedule = *compile(testing::random_program(seed), testing::mix_scratch);
    TestMemory memory(testing::random_residents(), schedule.workspace_bytes);
    const auto bound =
        *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
    run_serial(bound, 1);
    const auto serial = memory.contents();
    memory.fill();
    EXPECT_TRUE(audit(bound, memory.residents(), memory.workspace(), 1).empty()) << seed;
    EXPECT_EQ(memory.contents(), serial) << seed;
    memory.fill();
    audit_mutations(bound, memory.residents(), memory.workspace(), 1);
    EXPECT_EQ(memory.contents(), serial) << seed;
  }
}

TEST(AuditTest, EveryMutationOfRandomPrograms) {
  MutationReport total;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const Schedule schedule =
        *compile(testing::random_program(seed, {.ops = 16, .counts = false, .word = 8}),
                 testing::mix_scratch);
    TestMemory memory(testing::random_residents(), schedule.workspace_bytes);
    const auto bound =
        *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
    const MutationReport report =
        audit_mutations(bound, memory.residents(), memory.workspace(), static_cast<int64_t>(seed));
    for (const AuditFinding& finding : report.findings) ADD_FAILURE() << finding.text;
    for (const std::string& mutation : report.unnoticed) ADD_FAILURE() << seed << ": " << mutation;
    total.caught += report.caught;
    total.undetectable += report.undetectable;
  }
  fmt::print("mutated declarations: {} caught, {} can't be seen\n", total.caught,
             total.undetectable);
  EXPECT_GT(total.caught, 300);
}

// What only counts: dropping the declaration of the row count that the kernel reads.
TEST(AuditTest, CountsAreDeclarationsToo) {
  Draft draft;
  const Value count = draft.carried("state", 1, 4);  // its first word: rows 0x03020100, all
  const Value x = draft.step("x", 4, 16);
  draft.op(Lane::compute, {.out = {draft.counted(x, draft.rows(count, 0, 1))}});
  const Schedule schedule = *compile(draft.program);
  TestMemory memory(SloppyOp::two(), schedule.workspace_bytes);
  const auto bound =
      *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
  const MutationReport report = audit_mutations(bound, memory.residents(), memory.workspace(), 0);
  EXPECT_TRUE(report.findings.empty());
  EXPECT_TRUE(report.unnoticed.empty());
  EXPECT_EQ(report.caught, sees_reads() ? 3 : 2);  // x dropped, x only read, the count dropped
  EXPECT_EQ(report.undetectable, sees_reads() ? 0 : 1);
}

// An op that declares more than it touches: nothing is wrong, but it is told.
TEST(AuditTest, UnneededDeclarationsAreNamed) {
  Draft draft;
  const Value x = draft.step("x", 4, 16), state = draft.carried("state", 1, 4);
  draft.op(Lane::compute, {.out = {x}});
  draft.op(Lane::compute, {.inout = {draft.rows(state, 0, 0)}, .out = {state}, .in = {x}},
           {1, Role::head});
  Schedule schedule = *compile(draft.program);
  for (ValueInfo& value : schedule.program.values) {
    if (value.rows == 0) value.region_rows = 4;  // declares all of it, and works on no row
  }
  schedule.program.ops[1].operands[testing::MixOperand::out0] = {};
  TestMemory memory(SloppyOp::two(), schedule.workspace_bytes);
  const auto bound =
      *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
  const MutationReport report = audit_mutations(bound, memory.residents(), memory.workspace(), 0);
  ASSERT_EQ(report.unnoticed.size(), 2u);
  EXPECT_EQ(report.unnoticed[0],
            "op 1 (layer 1 head: mix → state [0, 4] i32): inout0 declared as dropped");
}

}  // namespace
}  // namespace braid::flow
