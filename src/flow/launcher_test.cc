#include "flow/launcher.h"

#include <gtest/gtest.h>

#include "flow/residents.h"
#include "flow/test_kinds.h"

namespace braid::flow {
namespace {

using testing::Draft;
using testing::Mix;

TEST(LauncherTableTest, FindsTheKernelOfAKind) {
  const LauncherTable& table = testing::mix_table();
  Draft draft;
  draft.op(Lane::compute, {.out = {draft.step("x")}}, {}, 48);
  const auto launcher = table.find(draft.program, draft.program.ops[0]);
  ASSERT_TRUE(launcher.ok());
  std::array<uint32_t, 4> words{};
  Arg out{.data = reinterpret_cast<std::byte*>(words.data()), .stride = 8, .rows = 2, .cols = 2};
  const std::array<Arg, 3> args = {Arg{}, Arg{}, out};
  const Mix desc{9, 0};
  (*launcher)->launch(&desc, args, {}, nullptr);
  EXPECT_NE(words[0], 0u);
  EXPECT_NE(words[3], 0u);
  EXPECT_EQ(table.scratch()(draft.program.ops[0], {}), 48);
}

TEST(LauncherTableTest, RefusesWhatNoKernelImplements) {
  LauncherTable table;
  Draft draft;
  draft.op(Lane::compute, {.out = {draft.step("x", 4, 20)}}, {3, Role::mlp});
  const auto none = table.find(draft.program, draft.program.ops[0]);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(none.error().to_string().find("layer 3 mlp: mix → x [4, 5] i32"), std::string::npos);
  EXPECT_EQ(table.scratch()(draft.program.ops[0], {}), 0);

  table.add<Mix>({.can_implement = [](const Mix&, std::span<const Type> types) -> Status {
                    if (types[testing::MixOperand::out0].cols % 4 == 0) return {};
                    return Error(ErrorKind::unsupported, "columns")
                        .with("cols", types[testing::MixOperand::out0].cols);
                  },
                  .launch = [](const Mix&, Args, Workspace) {}});
  const auto refused = table.find(draft.program, draft.program.ops[0]);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().to_string(), "columns (cols = 5)");
}

TEST(ResidentsTest, DeclareAllocateSum) {
  Residents residents;
  const int32_t w = residents.declare({"w", Format::bf16, 8, 4, Lifetime::weight, 1});
  const int32_t ids = residents.declare({"ids", Format::i32, 8, 1, Lifetime::carried, 2});
  EXPECT_EQ(w, 0);
  EXPECT_EQ(ids, 1);
  EXPECT_EQ(residents.size(), 2);
  EXPECT_EQ(residents[ids].name, "ids");
  EXPECT_EQ(residents.bytes(Lifetime::weight), 64);
  EXPECT_EQ(residents.bytes(Lifetime::carried), 64);  // both copies
  EXPECT_EQ(residents.data(ids, 1), nullptr);
  std::byte memory{};
  residents.set_data(ids, 1, &memory);
  EXPECT_EQ(residents.data(ids, 1), &memory);
  EXPECT_EQ(residents.data(ids, 0), nullptr);
}

TEST(ResidentsTest, NamesKeepTheirPlace) {
  Residents residents;
  residents.declare({"first", Format::i32, 1, 1, Lifetime::weight, 1});
  const std::string_view name = residents[0].name;
  for (int i = 0; i < 1000; ++i)
    residents.declare({"more", Format::i32, 1, 1, Lifetime::weight, 1});
  EXPECT_EQ(name.data(), residents[0].name.data());
}

TEST(ResidentsTest, RefusesWhatCannotBe) {
  Residents residents;
  EXPECT_DEATH(residents.declare({"x", Format::i32, 1, 1, Lifetime::carried, 3}), "3 copies");
  EXPECT_DEATH(residents.declare({"x", Format::i32, 1, 1, Lifetime::step, 1}),
               "belong to a Program");
}

}  // namespace
}  // namespace braid::flow
