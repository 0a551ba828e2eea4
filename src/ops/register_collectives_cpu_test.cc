#include "ops/register_collectives_cpu.h"

#include <gtest/gtest.h>

#include <thread>

#include "comm/local/local_group.h"
#include "flow/compile.h"
#include "flow/executor.h"
#include "ops/collectives.h"

namespace braid::ops {
namespace {

// One rank: x [2, 4] f32 in its own memory is reduced into y.
class Rank {
 public:
  Rank(comm::LocalGroup& group, int32_t rank, AllReduceDesc desc = {.ranks = 2})
      : communicator_(&group.member(rank)) {
    register_collectives_cpu(table_, {&communicator_, 1});
    for (const char* name : {"x", "y"}) {
      residents_.declare({.name = name,
                          .format = Format::f32,
                          .rows = 2,
                          .cols = 4,
                          .lifetime = flow::Lifetime::carried});
    }
    residents_.set_data(0, 0, reinterpret_cast<std::byte*>(x.data()));
    residents_.set_data(1, 0, reinterpret_cast<std::byte*>(y.data()));
    Builder b(residents_);
    b.emit(desc, {{AllReduceOperand::in, b.resident(0)}, {AllReduceOperand::out, b.resident(1)}});
    schedule_ = flow::compile(std::move(b).finish().value()).value();
  }

  Status run() {
    const auto bound = flow::bind(schedule_, table_, residents_, nullptr);
    if (!bound.ok()) return bound.status();
    flow::run_serial(*bound, 0);
    return communicator_->status();
  }

  std::array<float, 8> x{};
  std::array<float, 8> y{};

 private:
  comm::Communicator* communicator_;
  flow::LauncherTable table_;
  flow::Residents residents_;
  flow::Schedule schedule_;
};

TEST(RegisterCollectivesTest, RanksOnThreadsGetTheirSum) {
  comm::LocalGroup group({0, 1}, std::chrono::seconds(20));
  Rank first(group, 0), second(group, 1);
  first.x.fill(1.5f);
  second.x.fill(2.0f);
  std::thread other([&] { EXPECT_TRUE(second.run().ok()); });
  EXPECT_TRUE(first.run().ok());
  other.join();
  for (const float value : first.y) EXPECT_EQ(value, 3.5f);
  EXPECT_EQ(first.y, second.y);
}

TEST(RegisterCollectivesTest, AFailureLeavesZerosAndTheReason) {
  comm::LocalGroup group({0, 1}, std::chrono::milliseconds(20));
  Rank first(group, 0);
  first.y.fill(7.0f);
  const Status status = first.run();  // the other one never comes
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.to_string().find("rank 1 did not come"), std::string::npos);
  EXPECT_EQ(first.y, (std::array<float, 8>{}));
}

TEST(RegisterCollectivesTest, RefusesWhatItCantDo) {
  comm::LocalGroup group({0, 1}, std::chrono::milliseconds(20));
  const Status engines = Rank(group, 0, {0, 2, ReduceMethod::copy_engine}).run();
  EXPECT_EQ(engines.to_string(), "the CPU has no copy engines (op = all_reduce)");
  EXPECT_EQ(Rank(group, 0, {.communicator = 3, .ranks = 2}).run().error().kind(),
            ErrorKind::internal);
  EXPECT_EQ(Rank(group, 0, {.communicator = 0, .ranks = 4}).run().error().kind(),
            ErrorKind::internal);
}

}  // namespace
}  // namespace braid::ops
