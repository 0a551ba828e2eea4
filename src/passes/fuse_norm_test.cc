#include "passes/fuse_norm.h"

#include <gtest/gtest.h>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "ops/gemm.h"
#include "ops/norm.h"
#include "ops/rows.h"

namespace braid::passes {
namespace {

using flow::Program;
using flow::Value;

constexpr int64_t kWidth = 16;

// y = x + o(h), then norm(y) for `readers` products, as a layer has them.
class FuseNormTest : public ::testing::Test {
 protected:
  Value resident(ops::Builder& b, const char* name, int64_t rows, flow::Lifetime lifetime) {
    return b.resident(residents_.declare(
        {.name = name, .format = Format::f32, .rows = rows, .cols = kWidth, .lifetime = lifetime}));
  }
  Value weight(ops::Builder& b, const char* name, int64_t rows = kWidth) {
    return resident(b, name, rows, flow::Lifetime::weight);
  }

  // `probed`: something else reads the product. `late`: the other term comes behind the product.
  Program build(int64_t rows, int readers, bool probed = false, bool late = false) {
    ops::Builder b(residents_);
    const auto carried = [&](const char* name) {
      return resident(b, name, rows, flow::Lifetime::carried);
    };
    Value x = carried("x");
    const Value o = ops::gemm(b, carried("h"), {.weight = weight(b, "o")}, Format::f32, "o");
    if (probed) ops::copy(b, o, carried("probe"));
    if (late) x = ops::gemm(b, x, {.weight = weight(b, "late")}, Format::f32, "late");
    const Value y = late ? ops::add(b, o, x, "y") : ops::add(b, x, o, "y");
    const Value normed = ops::rms_norm(b, y, weight(b, "norm", 1), 1e-5f, "normed");
    for (int i = 0; i < readers; ++i) {
      const Value out = ops::gemm(b, normed, {.weight = weight(b, "w")}, Format::f32, "out");
      ops::copy(b, out, carried("end"));
    }
    ops::copy(b, y, carried("sum"));
    return std::move(b).finish().value();
  }

  std::vector<std::string> names(Program program, int64_t rows, Switch mode) {
    const layers::RowCounts counts{.decode = static_cast<int32_t>(rows)};
    const PassContext context{.options = options_,
                              .residents = residents_,
                              .decisions = why_,
                              .shape = {.own = counts, .group = counts}};
    program = fuse_norm(std::move(program), {.mode = mode}, context).value();
    const auto proof = flow::check_schedule(flow::compile(program).value());
    EXPECT_TRUE(proof.ok()) << proof.status().to_string();
    std::vector<std::string> found;
    for (const flow::Op& op : program.ops) {
      std::string name(op.kind().name);
      if (op.desc.is<kernels::GemmDesc>()) {
        if (op.operands[ops::GemmOperand::norm_weight].present()) {
          name = "norm+" + name;
          EXPECT_EQ(op.desc.as<kernels::GemmDesc>().norm_eps, 1e-5f);
        }
        if (op.operands[ops::GemmOperand::residual].present()) name += "+residual";
      }
      if (name != "copy") found.push_back(name);
    }
    return found;
  }

  const PassOptions options_;
  flow::Residents residents_;
  Decisions why_;
};

using Names = std::vector<std::string>;

TEST_F(FuseNormTest, FewRowsLeaveNothingBetweenProducts) {
  EXPECT_EQ(names(build(4, 1), 4, Switch::automatic), (Names{"gemm+residual", "norm+gemm"}));
  EXPECT_EQ(why_.back().choice, "on");
  EXPECT_EQ(why_.back().rewrites, 4);
  EXPECT_EQ(why_.back().reason,
            "auto: 4 rows; 1 sums and 1 norms in products, 0 sums in norms; no bit changes");
}

TEST_F(FuseNormTest, ANormThatTwoProductsReadStays) {
  EXPECT_EQ(names(build(4, 2), 4, Switch::automatic),
            (Names{"gemm+residual", "rms_norm", "gemm", "gemm"}));
}

TEST_F(FuseNormTest, ManyRowsAddWhereTheyNormalise) {
  EXPECT_EQ(names(build(17, 1), 17, Switch::automatic), (Names{"gemm", "add_rms_norm", "gemm"}));
  EXPECT_EQ(names(build(17, 1), 17, Switch::on), (Names{"gemm+residual", "norm+gemm"}));
}

TEST_F(FuseNormTest, AProductThatIsReadElsewhereKeepsItsSum) {
  EXPECT_EQ(names(build(4, 2, /*probed=*/true), 4, Switch::automatic),
            (Names{"gemm", "add_rms_norm", "gemm", "gemm"}));
}

TEST_F(FuseNormTest, AProductDoesNotWaitForItsResidual) {
  const Names want = {"gemm", "gemm+residual", "norm+gemm"};
  EXPECT_EQ(names(build(4, 1, false, /*late=*/true), 4, Switch::automatic), want);
}

TEST_F(FuseNormTest, OffChangesNothing) {
  EXPECT_EQ(names(build(4, 1), 4, Switch::off), (Names{"gemm", "add", "rms_norm", "gemm"}));
  EXPECT_EQ(why_.back().choice, "off");
  EXPECT_EQ(why_.back().reason, "switched off");
}

}  // namespace
}  // namespace braid::passes
