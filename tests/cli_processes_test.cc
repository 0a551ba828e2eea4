// The program itself on ranks that are processes, of one host and of two nodes.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <fstream>

#include "support/checkpoint_copy.h"
#include "support/models.h"
#include "support/shell.h"
#include "support/two_hosts.h"

namespace braid::testing {
namespace {

std::string generating(const std::string& more) {
  return fmt::format(
      "generate {} --prompt 'Once upon a time' --max-tokens 12 --temperature 0 --quiet {}",
      fairytale_folder(), more);
}
std::string generate(const std::string& more) { return braid(generating(more)); }

TEST(CliProcessesTest, NoLinkIsEmulatedBetweenThem) {
  const Shell refused =
      shell(generate("--tp 2 --cpu-ranks process --emulate-link 1GB/s,10us 2>&1"));
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.out.find("links are emulated between threads"), std::string::npos)
      << refused.out;
}

TEST(CliProcessesTest, SayWhatThreadsSay) {
  const Shell threads = shell(generate("--tp 2"));
  ASSERT_EQ(threads.code, 0) << threads.out;
  EXPECT_GT(threads.out.size(), 20u);
  for (const char* layout :
       {"--tp 2", "--tp 2 --ep 2", "--dp 2", "--tp 4 --dp 2 --ep 2 --enable-dp-attention"}) {
    const Shell processes = shell(generate(fmt::format("{} --cpu-ranks process", layout)));
    EXPECT_EQ(processes.code, 0) << layout;
    EXPECT_EQ(processes.out, threads.out) << layout;
  }
}

// Rows sent to the ranks of their experts: the references' logits, in the last case by itself.
TEST(CliProcessesTest, GoldensOfRowsThatAreSent) {
  struct Case {
    const char* golden;
    const char* options;
  };
  for (const auto& [golden, options] :
       {Case{"glm4_moe", "--dp 2 --dispatch all-to-all"},
        {"deepseek_v2", "--dp 2 --dispatch all-to-all --dual-stream on"},
        {"mixtral", "--dp 4"}}) {
    const std::string folder = make_temp_folder();
    const std::vector<int32_t> ids = golden_ids(golden, "input_ids");
    std::ofstream(folder + "/ids.json") << fmt::format("[{}]", fmt::join(ids, ", "));
    const Shell ran = shell(braid(fmt::format(
        "eval logits {} --cpu-ranks process {} --dtype float32 --input-ids {}/ids.json --output "
        "{}/logits --explain 2>&1",
        golden_folder(golden), options, folder, folder)));
    ASSERT_EQ(ran.code, 0) << ran.out;
    EXPECT_NE(ran.out.find("dispatch: all-to-all"), std::string::npos) << ran.out;
    const std::vector<float> found = logits_in(folder + "/logits");
    const std::vector<float> expected = golden_floats(golden, "logits");
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(found[i], expected[i], 1e-4) << i;
  }
}

TEST(CliProcessesTest, ExplainSaysHowRanksAreStartedAndErrorsComeAsTheyAre) {
  const Shell explained = shell(generate("--tp 2 --cpu-ranks process --explain 2>&1"));
  EXPECT_EQ(explained.code, 0);
  EXPECT_NE(explained.out.find("2 processes of this host"), std::string::npos) << explained.out;
  EXPECT_NE(explained.out.find("all lines: 2 ranks"), std::string::npos) << explained.out;
  const Shell refused = shell(generate("--tp 2 --cpu-ranks process --context-length 5 2>&1"));
  EXPECT_EQ(refused.code, 2);
  EXPECT_TRUE(refused.out.starts_with("braid: error: ")) << refused.out;
  EXPECT_EQ(refused.out.find("rank"), std::string::npos) << refused.out;
  const Shell closed = shell(generate("--tp 2 --cpu-ranks process 2>&1 | head -c 1"));
  EXPECT_EQ(closed.out.size(), 1u);
}

TEST(CliProcessesTest, AFaultIsToldWithRankOpAndStep) {
  const Shell killed =
      shell(generate("--tp 2 --cpu-ranks process --inject-fault kill:1:3:9 2>&1 >/dev/null"));
  EXPECT_EQ(killed.code, 1);
  for (const char* word : {"rank 1 died by signal 9", "all_reduce", "step = 3"}) {
    EXPECT_NE(killed.out.find(word), std::string::npos) << killed.out;
  }
}

TEST(CliNodesTest, TwoNodesSayWhatOneHostSays) {
  const Shell one = shell(generate("--tp 2"));
  for (const char* layout : {"--tp 2", "--tp 2 --dp 2 --ep 4"}) {
    const Shell two = two_nodes(generating(layout), "127.0.0.1:" + free_port());
    EXPECT_EQ(two.code, 0) << two.out;
    EXPECT_EQ(two.out, one.out) << layout;
  }
}

TEST(CliNodesTest, LaunchersStartOneProcessARank) {
  const Shell one = shell(generate("--tp 2"));
  const std::string port = free_port();
  const auto process = [&](int rank) {
    return fmt::format("RANK={} LOCAL_RANK={} WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT={} {}",
                       rank, rank, port, generate("--tp 2"));
  };
  const Shell two = shell(process(1) + " & " + process(0) + "; wait");
  EXPECT_EQ(two.out, one.out);
}

TEST(CliNodesTest, DifferentOptionsAreRefused) {
  for (const auto& [other, usual] : {std::pair{"--page-size 8", "--page-size 16"},
                                     {"--dispatch gather", "--dispatch auto"},
                                     {"--expert-heat on", "--expert-heat auto"}}) {
    const std::string address = "127.0.0.1:" + free_port();
    const std::string node = "--tp 2 --nnodes 2 --dist-init-addr " + address;
    const Shell refused =
        shell(generate(fmt::format("{} --node-rank 1 {}", node, other)) + " >/dev/null 2>&1 & " +
              generate(node + " --node-rank 0") + " 2>&1; code=$?; wait; exit $code");
    EXPECT_EQ(refused.code, 2) << refused.out;
    EXPECT_NE(refused.out.find(usual), std::string::npos) << refused.out;
    EXPECT_NE(refused.out.find(other), std::string::npos) << refused.out;
  }
}

TEST(CliNodesTest, DifferentModelsAreRefused) {
  CheckpointCopy copy(golden_folder("glm4_moe"));
  copy.edit_config({{"rms_norm_eps", 1e-3}});
  const std::string other = copy.write();
  const auto node = [](const std::string& folder, const std::string& more) {
    return braid(fmt::format("eval logits {} --input-ids {}/ids.json --output {}/logits {}", folder,
                             folder, folder, more));
  };
  std::ofstream(other + "/ids.json") << "[1, 2]";
  CheckpointCopy same(golden_folder("glm4_moe"));
  const std::string first = same.write();
  std::ofstream(first + "/ids.json") << "[1, 2]";
  const std::string ranks = "--tp 2 --nnodes 2 --dist-init-addr 127.0.0.1:" + free_port();
  const Shell refused =
      shell(node(other, ranks + " --node-rank 1") + " >/dev/null 2>&1 & " +
            node(first, ranks + " --node-rank 0") + " 2>&1 >/dev/null; code=$?; wait; exit $code");
  EXPECT_EQ(refused.code, 2) << refused.out;
  EXPECT_NE(refused.out.find("rank 0 = config.json "), std::string::npos) << refused.out;
}

TEST(CliNodesTest, WhoIsWaitedForIsNamed) {
  const Shell missed = shell(braid(
      fmt::format("generate {} --prompt Once --max-tokens 2 --tp 4 --nnodes 2 --step-timeout 3 "
                  "--dist-init-addr 127.0.0.1:{} 2>&1",
                  fairytale_folder(), free_port())));
  EXPECT_EQ(missed.code, 1);
  EXPECT_NE(missed.out.find("waiting for ranks 2, 3 at 127.0.0.1:"), std::string::npos)
      << missed.out;
  EXPECT_NE(missed.out.find("s of 3)"), std::string::npos) << missed.out;
  EXPECT_NE(missed.out.find("\nbraid: error: ranks 2, 3 did not come to 127.0.0.1:"),
            std::string::npos)
      << missed.out;
}

// Two hosts with a wire between them, as far as the network is concerned.
TEST(CliNodesTest, TwoNetworkNamespaces) {
  const TwoHosts hosts;
  if (!hosts.made()) GTEST_SKIP() << "no network namespaces here: " << hosts.why_not();
  const Shell two = two_nodes(generating("--tp 2"), "10.99.0.1:29571", hosts.prefixes());
  EXPECT_EQ(two.code, 0);
  EXPECT_EQ(two.out, shell(generate("--tp 2")).out);
}

}  // namespace
}  // namespace braid::testing
