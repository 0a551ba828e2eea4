#include "passes/pass_list.h"

#include <gtest/gtest.h>

#include <set>

#include "base/options_table.h"
#include "passes/chunk_collectives.h"
#include "passes/count_heat.h"
#include "passes/dual_stream.h"
#include "passes/fuse_decode_attention.h"
#include "passes/fuse_experts.h"
#include "passes/fuse_norm.h"
#include "passes/fuse_route.h"
#include "passes/quantize_dispatch.h"

namespace braid::passes {
namespace {

ParsedOptions parsed(std::vector<const char*> more) {
  more.insert(more.begin(), {"generate", "model", "--prompt", "x"});
  OptionSources nothing{.environment = [](const std::string&) { return std::nullopt; },
                        .read_file = {}};
  return parse(braid_options(), more, nothing).value();
}

TEST(PassListTest, EveryOptionOfAPassIsARowOfTheTableAndOfNoOtherPass) {
  std::set<std::string_view> names, options;
  for (const Pass* pass : all_passes()) {
    EXPECT_TRUE(names.insert(pass->name).second) << pass->name;
    for (const std::string_view option : pass->options) {
      EXPECT_NE(braid_options().find(option), nullptr) << option;
      EXPECT_TRUE(options.insert(option).second) << option;
    }
  }
}

TEST(PassListTest, EachPassReadsItsOptions) {
  const ParsedOptions options = parsed({"--dispatch-dtype",
                                        "fp8",
                                        "--dual-stream",
                                        "on",
                                        "--dual-stream-max-tokens",
                                        "7",
                                        "--overlap-chunks",
                                        "3",
                                        "--overlap-continuation",
                                        "off",
                                        "--overlap-min-tokens",
                                        "9",
                                        "--fuse-norm",
                                        "on",
                                        "--fuse-route",
                                        "off",
                                        "--expert-heat",
                                        "off",
                                        "--fuse-experts",
                                        "on",
                                        "--fuse-attention",
                                        "off"});
  const PassOptions passes = parse_passes(options).value();
  EXPECT_EQ(passes.of<QuantizeDispatchOptions>().dtype, DispatchDtype::fp8);
  EXPECT_EQ(passes.of<DualStreamOptions>().mode, Switch::on);
  EXPECT_EQ(passes.of<DualStreamOptions>().max_tokens, 7);
  EXPECT_EQ(passes.of<ChunkOptions>().chunks, 3);
  EXPECT_FALSE(passes.of<ChunkOptions>().continued);
  EXPECT_EQ(passes.of<ChunkOptions>().min_tokens, 9);
  EXPECT_EQ(passes.of<FuseAttentionOptions>().mode, Switch::off);
  EXPECT_EQ(passes.of<FuseNormOptions>().mode, Switch::on);
  EXPECT_EQ(passes.of<FuseRouteOptions>().mode, Switch::off);
  EXPECT_EQ(passes.of<HeatOptions>().mode, Switch::off);
  EXPECT_EQ(passes.of<FuseExpertsOptions>().mode, Switch::on);
  EXPECT_EQ(describe_passes(options)[1],
            "dual_stream: --dual-stream on, --dual-stream-max-tokens 7");
}

TEST(PassListTest, EveryPassSaysWhatItDecided) {
  const PassOptions options;
  const flow::Residents residents;
  Decisions decisions;
  const PassContext context{.options = options, .residents = residents, .decisions = decisions};
  EXPECT_TRUE(run_passes({}, context).value().ops.empty());
  ASSERT_EQ(decisions.size(), all_passes().size());
  for (size_t i = 0; i < decisions.size(); ++i) {
    EXPECT_EQ(decisions[i].pass, all_passes()[i]->name);
    EXPECT_EQ(decisions[i].rewrites, 0);
    EXPECT_FALSE(decisions[i].reason.empty());
  }
}

TEST(PassOptionsTest, ACopyHasItsOwn) {
  PassOptions one;
  EXPECT_EQ(std::as_const(one).of<DualStreamOptions>().max_tokens, 256);  // nothing was said
  one.of<DualStreamOptions>().max_tokens = 3;
  PassOptions other = one;
  other.of<DualStreamOptions>().max_tokens = 5;
  EXPECT_EQ(one.of<DualStreamOptions>().max_tokens, 3);
  EXPECT_EQ(other.of<DualStreamOptions>().max_tokens, 5);
}

}  // namespace
}  // namespace braid::passes
