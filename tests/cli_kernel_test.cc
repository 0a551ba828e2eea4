// braid bench kernel, as its users run it: on the CPU.
#include <gtest/gtest.h>

#include "lab/kernel_case.h"
#include "support/command.h"

namespace braid::testing {
namespace {

Ran bench_kernel(std::vector<std::string> more) {
  std::vector<std::string> arguments = {"bench", "kernel"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_braid(arguments);
}

// Sizes that the CPU takes no time for, and that no kernel has as its default.
const std::map<std::string, std::string> kSmall = {
    {"gemm", "rows=3,n=48,k=80"},
    {"grouped_gemm", "rows=5,experts=6,top_k=2,n=24,k=32"},
    {"experts", "rows=5,experts=6,top_k=2,width=24,hidden=32"},
    {"attention", "rows=3,context=37,heads=4,kv_heads=2,head_dim=16,page=4"},
    {"decode_attention", "rows=3,context=37,heads=4,kv_heads=2,head_dim=16,page=4,hidden=24"},
    {"route_experts", "rows=5,experts=12,top_k=3,hidden=64"},
    {"route", "rows=5,experts=12,top_k=3"},
    {"norm", "rows=3,cols=72"},
    {"sample", "rows=3,vocab=500"},
};

TEST(CliKernelTest, EveryKernelIsCheckedAndTimed) {
  for (const lab::KernelCase& kernel : lab::kernel_cases()) {
    const std::string name(kernel.name);
    const auto shape = kSmall.find(name);
    ASSERT_NE(shape, kSmall.end()) << "give a small shape for " << name;
    const Ran ran = bench_kernel({name, "--shape", shape->second, "--rounds", "3", "--json"});
    ASSERT_EQ(ran.code, 0) << name << ": " << ran.err;
    const Json result = ran.json();
    EXPECT_EQ(result["kernel"], name);
    EXPECT_FALSE(result["forms"].empty());
    for (const Json& form : result["forms"]) {
      EXPECT_GT(form["seconds"], 0) << name;
      EXPECT_GT(form["bytes"], 0) << name;
      EXPECT_LE(form["error"], 1e-6) << name;  // the reference is the CPU itself
    }
  }
}

// Each value of each parameter of the configuration.
TEST(CliKernelTest, EveryConfigurationIsRight) {
  for (const lab::KernelCase& kernel : lab::kernel_cases()) {
    const std::string name(kernel.name);
    for (const lab::KernelParameter& parameter : kernel.configuration) {
      for (const std::string_view choice : parameter.choices) {
        const std::string config = fmt::format("{}={}", parameter.name, choice);
        const Ran ran = bench_kernel({name, "--shape", kSmall.at(name), "--kernel-config", config,
                                      "--rounds", "1", "--json"});
        ASSERT_EQ(ran.code, 0) << name << " " << config << ": " << ran.err;
        const std::string setting = ran.json()["setting"];
        EXPECT_NE(setting.find(config), std::string::npos) << setting;
      }
    }
  }
}

// bfloat16 against float32: an error that is one, within the bound.
TEST(CliKernelTest, RoundedResultsAreCompared) {
  const Ran ran = bench_kernel({"gemm", "--shape", "rows=3,n=48,k=80", "--shape",
                                "rows=7,n=16,k=64", "--rounds", "1", "--dtype", "bfloat16"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const std::string_view said :
       {"rows=3 n=48 k=80 epilogue=none", "rows=7 n=16 k=64", "us [95 %]", "GB/s", "e-03"}) {
    EXPECT_NE(ran.out.find(said), std::string::npos) << said << "\n" << ran.out;
  }
}

TEST(CliKernelTest, TellsWhatThereIs) {
  const Ran ran = bench_kernel({"--list"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const lab::KernelCase& kernel : lab::kernel_cases()) {
    EXPECT_NE(ran.out.find(fmt::format("{}: {}\n", kernel.name, kernel.help)), std::string::npos)
        << ran.out;
  }
  EXPECT_NE(ran.out.find("--kernel-config epilogue=none|swiglu"), std::string::npos) << ran.out;
}

TEST(CliKernelTest, RefusesWhatItDoesNotKnow) {
  const auto refused = [](std::vector<std::string> arguments,
                          std::initializer_list<std::string_view> parts) {
    const Ran ran = bench_kernel(std::move(arguments));
    EXPECT_EQ(ran.code, 2) << ran.err;
    for (const std::string_view part : parts) {
      EXPECT_NE(ran.err.find(part), std::string::npos) << part << "\n" << ran.err;
    }
  };
  refused({}, {"which kernel", "--list"});
  refused({"matmul"}, {"no such kernel", "matmul", "gemm, grouped_gemm"});
  refused({"gemm", "--shape", "rows=0"}, {"rows = 0", "a number from 1 to"});
  refused({"gemm", "--shape", "columns=3"}, {"columns=3", "rows, n, k"});
  refused({"gemm", "--shape", "rows"}, {"NAME=VALUE"});
  refused({"gemm", "--kernel-config", "epilogue=gelu"}, {"epilogue = gelu", "none, swiglu"});
}

}  // namespace
}  // namespace braid::testing
