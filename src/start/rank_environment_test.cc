// Which ranks a process starts, by its options and its environment.
#include <gtest/gtest.h>

#include <map>

#include "base/options_table.h"
#include "base/temp_folder.h"
#include "start/rank_setting.h"

namespace braid::start {
namespace {

using Variables = std::map<std::string, std::string>;

Result<RankSetting> setting_of(const std::vector<const char*>& words, const Variables& variables) {
  std::vector<const char*> all = {"generate", "model"};
  all.insert(all.end(), words.begin(), words.end());
  const auto options =
      parse(braid_options(), all,
            {.environment = [](const std::string&) { return std::optional<std::string>(); },
             .read_file = nullptr});
  EXPECT_TRUE(options.ok()) << options.status().to_string();
  return rank_setting(*options, [&](const std::string& name) -> std::optional<std::string> {
    if (name == "HOME" && variables.count(name) == 0) return "/users/somebody";
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

TEST(RankSettingTest, OneHostHasThreadsOrProcesses) {
  EXPECT_FALSE(setting_of({}, {})->processes);
  EXPECT_FALSE(setting_of({"--tp", "2"}, {})->processes);
  EXPECT_FALSE(setting_of({"--cpu-ranks", "process"}, {})->processes);  // one rank
  EXPECT_FALSE(setting_of({"--device", "cuda"}, {})->processes);
  for (const auto& words :
       {std::vector<const char*>{"--tp", "4", "--cpu-ranks", "process"},
        {"--tp", "2", "--dp", "2", "--device", "cuda"},
        {"--tp", "4", "--dp", "2", "--enable-dp-attention", "--cpu-ranks", "process"}}) {
    const RankSetting setting = setting_of(words, {}).value();
    EXPECT_TRUE(setting.processes);
    EXPECT_EQ(setting.node.ranks, 4);
    EXPECT_EQ(setting.node.world, 4);
    EXPECT_EQ(setting.node.address, "");
  }
}

TEST(RankSettingTest, NodesAreAskedFor) {
  const auto setting = setting_of(
      {"--tp", "4", "--nnodes", "2", "--node-rank", "1", "--dist-init-addr", "10.0.0.1:5000"},
      {{"RANK", "7"}});
  ASSERT_TRUE(setting.ok()) << setting.status().to_string();
  EXPECT_TRUE(setting->processes);
  EXPECT_EQ(setting->node.first_rank, 2);
  EXPECT_EQ(setting->node.ranks, 2);
  EXPECT_EQ(setting->node.address, "10.0.0.1:5000");
  EXPECT_NE(setting->why.find("node 1 of 2"), std::string::npos);
}

TEST(RankSettingTest, LaunchersAreRecognised) {
  const Variables torchrun = {{"RANK", "3"},
                              {"WORLD_SIZE", "4"},
                              {"LOCAL_RANK", "1"},
                              {"MASTER_ADDR", "node0"},
                              {"MASTER_PORT", "29500"}};
  const Variables slurm = {{"SLURM_PROCID", "3"},
                           {"SLURM_NTASKS", "4"},
                           {"SLURM_LOCALID", "1"},
                           {"SLURM_JOB_NODELIST", "gpu[03-05]"},
                           {"SLURM_JOB_ID", "123456"}};
  const Variables mpi = {{"OMPI_COMM_WORLD_RANK", "3"},
                         {"OMPI_COMM_WORLD_SIZE", "4"},
                         {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}};
  struct Case {
    Variables variables;
    std::vector<const char*> words;
    std::string launcher, address;
  };
  Variables agent = torchrun;
  agent["TORCHELASTIC_USE_AGENT_STORE"] = "True";  // listens at the port itself
  for (const Case& launched :
       {Case{torchrun, {}, "torchrun", "node0:29500"}, Case{agent, {}, "torchrun", "node0:29501"},
        Case{slurm, {}, "Slurm", "gpu03:23456"},
        Case{slurm, {"--dist-init-addr", "a:1"}, "Slurm", "a:1"},
        Case{mpi, {"--dist-init-addr", "a:1"}, "Open MPI", "a:1"}}) {
    std::vector<const char*> words = launched.words;
    words.insert(words.end(), {"--tp", "4"});
    const auto setting = setting_of(words, launched.variables);
    ASSERT_TRUE(setting.ok()) << setting.status().to_string();
    EXPECT_TRUE(setting->processes);
    EXPECT_EQ(setting->node.first_rank, 3);
    EXPECT_EQ(setting->node.ranks, 1);
    EXPECT_EQ(setting->node.first_local, 1);
    EXPECT_EQ(setting->node.address, launched.address);
    EXPECT_TRUE(setting->why.starts_with(launched.launcher + ": rank 3 of 4")) << setting->why;
  }
}

TEST(RankSettingTest, ContradictionsAreErrorsOfUsage) {
  const Variables mpi = {{"OMPI_COMM_WORLD_RANK", "1"},
                         {"OMPI_COMM_WORLD_SIZE", "2"},
                         {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}};
  struct Case {
    std::vector<const char*> words;
    Variables variables;
    std::string text;
  };
  for (const Case& wrong :
       {Case{{"--tp", "4"}, mpi, "processes = 2, ranks = 4"},
        Case{{"--tp", "2"}, mpi, "--dist-init-addr HOST:PORT"},
        Case{{"--tp", "4", "--nnodes", "2"}, {}, "--dist-init-addr HOST:PORT"},
        Case{{"--tp", "4", "--nnodes", "3", "--dist-init-addr", "a:1"}, {}, "nnodes = 3"},
        Case{{"--tp", "4", "--nnodes", "2", "--node-rank", "2", "--dist-init-addr", "a:1"},
             {},
             "node-rank = 2"},
        Case{{"--tp", "4", "--nnodes", "2", "--dist-init-addr", "a"}, {}, "HOST:PORT"},
        Case{{"--tp", "4", "--nnodes", "2", "--dist-init-addr", "a:0"}, {}, "at port 0"},
        Case{{"--tp", "4", "--nnodes", "2", "--dist-init-addr", "a:1"}, {{"HOME", ""}}, "secret"},
        Case{{"--tp", "4", "--nnodes", "2", "--dist-init-addr", "a:1", "--job-secret",
              "sixteen characters", "--job-secret-file", "x"},
             {},
             "both given"},
        Case{{"--tp", "2", "--dist-init-addr", "a:1"}, {}, "need no address"}}) {
    const auto setting = setting_of(wrong.words, wrong.variables);
    ASSERT_FALSE(setting.ok());
    EXPECT_EQ(setting.error().kind(), ErrorKind::usage);
    EXPECT_NE(setting.error().to_string().find(wrong.text), std::string::npos)
        << setting.error().to_string();
  }
}

TEST(RankSettingTest, TheJobsSecretIsWhatWasGivenOrInASharedFolder) {
  const TempFolder folder;
  folder.write("secret", "from a file, longer than needed\n");
  folder.write("short", "too short\n");
  const std::string file = folder.file("secret"), shorter = folder.file("short");
  const Variables run = {{"TORCHELASTIC_RUN_ID", "0123456789abcdef"}};
  struct Case {
    std::vector<const char*> words;
    Variables variables;
    std::string text, shared;
  };
  const std::string cache = "/users/somebody/.cache/braid/job-10.0.0.1_5000";
  for (const Case& one :
       {Case{{"--job-secret", "sixteen characters"}, run, "sixteen characters", ""},
        Case{{"--job-secret-file", file.c_str()}, run, "from a file, longer than needed", ""},
        Case{{}, run, "0123456789abcdef", ""},
        Case{{}, {{"TORCHELASTIC_RUN_ID", "123"}}, "", cache},
        Case{{}, {{"XDG_CACHE_HOME", "/c"}}, "", "/c/braid/job-10.0.0.1_5000"},
        Case{{}, {}, "", cache}}) {
    std::vector<const char*> words = {"--tp",         "2", "--nnodes", "2", "--dist-init-addr",
                                      "10.0.0.1:5000"};
    words.insert(words.end(), one.words.begin(), one.words.end());
    const auto setting = setting_of(words, one.variables);
    ASSERT_TRUE(setting.ok()) << setting.status().to_string();
    EXPECT_EQ(setting->node.secret.text, one.text);
    EXPECT_EQ(setting->node.secret.shared_file, one.shared);
  }
  const auto refused = setting_of({"--tp", "2", "--nnodes", "2", "--dist-init-addr", "a:1",
                                   "--job-secret-file", shorter.c_str()},
                                  {});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().to_string().find("too short"), std::string::npos);
}

TEST(RankSettingTest, TheFirstHostOfAList) {
  EXPECT_EQ(first_host("gpu[03-05,7],cpu1"), "gpu03");
  EXPECT_EQ(first_host("cpu1,gpu[03-05]"), "cpu1");
  EXPECT_EQ(first_host("gpu[7,9]"), "gpu7");
  EXPECT_EQ(first_host("alone"), "alone");
  EXPECT_EQ(first_host(""), "");
}

TEST(RankSettingTest, FaultsForTests) {
  const FaultRequest request = parse_fault("fail:1:5:12").value();
  EXPECT_EQ(request.fault.kind, flow::FaultKind::fail);
  EXPECT_EQ(request.rank, 1);
  EXPECT_EQ(request.fault.step, 5);
  EXPECT_EQ(request.fault.op, 12);
  for (const char* bad : {"", "fail", "none:1:1:1", "fail:1:1", "fail:x:1:1"}) {
    EXPECT_FALSE(parse_fault(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace braid::start
