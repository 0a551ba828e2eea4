#include "flow/launcher.h"

#include <gtest/gtest.h>

#include "device/cpu/cpu_device.h"
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

TEST(LauncherTableTest, LaunchesWhatBelongsToNoProgram) {
  std::array<uint32_t, 4> words{};
  Arg out{.data = reinterpret_cast<std::byte*>(words.data()), .stride = 8, .rows = 2, .cols = 2};
  const std::array<Arg, 3> args = {Arg{}, Arg{}, out};
  ASSERT_TRUE(testing::mix_table().launch(AnyDesc(Mix{9, 0}), args, nullptr).ok());
  EXPECT_NE(words[3], 0u);
  const Status none = LauncherTable().launch(AnyDesc(Mix{9, 0}), args, nullptr);
  EXPECT_EQ(none.to_string(), "no kernel of this kind on this device (kind = mix)");
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

TEST(ResidentsTest, AllocateFillsWhatIsDeclaredToBeFilled) {
  Residents residents;
  const auto declare = [&](const char* name, Home home, Fill fill) {
    return residents.declare({.name = name,
                              .format = Format::i32,
                              .rows = 3,
                              .cols = 2,
                              .lifetime = Lifetime::carried,
                              .copies = 2,
                              .home = home,
                              .fill = fill});
  };
  const int32_t zeros = declare("zeros", Home::device, Fill::zeros);
  const int32_t none = declare("none", Home::host, Fill::minus_ones);
  declare("nothing", Home::host, Fill::nothing);
  device::CpuDevice device, host;
  const auto memory = allocate(residents, device, host).value();
  ASSERT_EQ(memory.size(), 6u);
  for (const int32_t copy : {0, 1}) {
    for (int i = 0; i < 6; ++i) {
      EXPECT_EQ(reinterpret_cast<const int32_t*>(residents.data(zeros, copy))[i], 0);
      EXPECT_EQ(reinterpret_cast<const int32_t*>(residents.data(none, copy))[i], -1);
    }
  }
  EXPECT_NE(residents.data(zeros, 0), residents.data(zeros, 1));
}

// Counts what is allocated from it.
class CountingHost final : public device::Device {
 public:
  std::string_view name() const override { return "counting"; }
  Result<device::Memory> allocate(int64_t bytes) override {
    allocated += bytes;
    return memory_.allocate(bytes);
  }
  void upload(std::byte* to, const void* from, int64_t bytes) override {
    memory_.upload(to, from, bytes);
  }
  void download(void* to, const std::byte* from, int64_t bytes) override {
    memory_.download(to, from, bytes);
  }
  void fill(std::byte* to, uint8_t value, int64_t bytes) override {
    memory_.fill(to, value, bytes);
  }
  Result<std::unique_ptr<device::Uploads>> open_uploads(int64_t piece_bytes) override {
    return memory_.open_uploads(piece_bytes);
  }
  int64_t allocated = 0;

 protected:
  void release(std::byte*, int64_t) override {}

 private:
  device::CpuDevice memory_;
};

TEST(ResidentsTest, AllocateTakesEachFromItsHome) {
  Residents residents;
  residents.declare({.name = "d", .rows = 3, .cols = 1});
  residents.declare({.name = "h", .rows = 5, .cols = 1, .copies = 2, .home = Home::host});
  CountingHost device, host;
  const auto memory = allocate(residents, device, host).value();
  EXPECT_EQ(device.allocated, 12);
  EXPECT_EQ(host.allocated, 40);
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
