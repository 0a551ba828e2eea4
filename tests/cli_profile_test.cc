// braid profile, end to end.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/temp_folder.h"
#include "flow/types.h"
#include "support/command.h"
#include "support/models.h"
#include "support/shell.h"

namespace braid::testing {
namespace {

using Words = std::vector<std::string>;

Ran profile(const std::string& folder, const Words& more) {
  Words words = {"profile",       golden_folder("glm4_moe"),
                 "--load-format", "dummy",
                 "--output-dir",  folder,
                 "--steps",       "2",
                 "--quiet"};
  words.insert(words.end(), more.begin(), more.end());
  return run_braid(words);
}

Json data_of(const std::string& folder) {
  const std::string page = read_file(folder + "/timeline.html").value();
  const std::string opening = R"(<script type="application/json" id="data">)";
  const size_t start = page.find(opening) + opening.size();
  return parse_json(page.substr(start, page.find("</script>", start) - start), "page").value();
}

// Of a profile of four ranks in this folder, whose result was printed as `result`.
void expect_all_ranks(const std::string& path, const Json& result) {
  const Json page = data_of(path);
  const Json trace = read_json_file(path + "/trace.json").value();
  std::map<int64_t, size_t> events;  // of the trace, by rank
  std::map<std::string, int> arrows;
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] == "X") ++events[event["pid"].get<int64_t>()];
    if (event["ph"] == "s" || event["ph"] == "f") ++arrows[event["ph"]];
  }
  ASSERT_EQ(page["ranks"].size(), 4u);
  for (const Json& rank : page["ranks"]) {
    EXPECT_EQ(rank["events"].size(), events[rank["rank"].get<int64_t>()]);
    std::set<int> lanes;
    for (const Json& event : rank["events"]) lanes.insert(event[3].get<int>());
    EXPECT_EQ(lanes.size(), 4u);  // compute, aux, comm, and copy for the sampled ids
  }
  EXPECT_GT(arrows["s"], 0);
  EXPECT_EQ(arrows["s"], arrows["f"]);
  EXPECT_EQ(page["meetings"].empty(), false);
  ASSERT_EQ(result["phases"].size(), 2u);
  for (const Json& phase : result["phases"]) {
    EXPECT_EQ(phase["steps"], 2);
    for (const Json& rank : phase["ranks"]) {
      int64_t sum = 0;
      for (const Json& ns : rank["modules_ns"]) sum += ns.get<int64_t>();
      EXPECT_EQ(sum, phase["wall_ns"]);
      EXPECT_GT(rank["modules_ns"]["attention"], 0);
      EXPECT_GT(rank["modules_ns"]["dispatch"], 0);
    }
  }
}

const std::string kFourRanks =
    "--tp 2 --dp 2 --prefill 300 --decode 5 --chunked-prefill-size 512 --overlap-chunks 2 "
    "--dual-stream on --json";

TEST(CliProfileTest, PageTraceAndTableAgree) {
  const TempFolder folder;
  const std::string path = folder.path() + "/of/profiles";
  std::istringstream words(kFourRanks);
  const Ran ran = profile(path, {std::istream_iterator<std::string>(words), {}});
  ASSERT_EQ(ran.code, 0) << ran.err;
  expect_all_ranks(path, ran.json());
}

// Where ranks are processes all of them are seen, as on several hosts.
TEST(CliProfileTest, ShowsRanksThatAreProcesses) {
  const TempFolder folder;
  const std::string words =
      fmt::format("profile {} --load-format dummy --output-dir {} --steps 2 --quiet {}",
                  golden_folder("glm4_moe"), folder.path(), kFourRanks);
  for (const bool two_hosts : {false, true}) {
    const Shell ran = two_hosts ? two_nodes(words, "127.0.0.1:" + free_port())
                                : shell(braid(words + " --cpu-ranks process"));
    ASSERT_EQ(ran.code, 0) << ran.out;
    expect_all_ranks(folder.path(), parse_json(ran.out, "result").value());
    const Json page = data_of(folder.path());
    for (const Json& fact : page["facts"]) EXPECT_NE(fact[0], "clocks");
  }
}

// A node whose clock began elsewhere: a rank of it runs at the time at which the others run.
TEST(CliProfileTest, ClocksOfSeveralHostsAreAligned) {
  const std::string other_clock = "unshare --time --fork --monotonic 1000";
  if (shell(other_clock + " true 2>&1").code != 0) GTEST_SKIP() << "no time namespaces here";
  const TempFolder folder;
  const Shell ran = two_nodes(
      fmt::format("profile {} --load-format dummy --output-dir {} --steps 2 --tp 2 --json "
                  "--prefill 64 --decode 2 --quiet",
                  golden_folder("glm4_moe"), folder.path()),
      "127.0.0.1:" + free_port(), {"", other_clock});
  ASSERT_EQ(ran.code, 0) << ran.out;
  const Json page = data_of(folder.path());
  EXPECT_EQ(page["facts"].back()[0], "clocks");
  const std::string said = page["facts"].back()[1];
  const std::string opening = "ranks of other hosts are aligned to within ";
  ASSERT_TRUE(said.starts_with(opening)) << said;
  const int64_t slack = 1000 * std::stoll(said.substr(opening.size()));
  EXPECT_LT(slack, 100'000'000) << said;
  const Json result = parse_json(ran.out, "result").value();
  for (const Json& phase : result["phases"]) {
    EXPECT_LT(phase["wall_ns"], 100'000'000'000);  // a thousand seconds apart otherwise
  }
  // A collective ends on each rank behind its start on the other.
  ASSERT_FALSE(page["meetings"].empty());
  for (const Json& meeting : page["meetings"]) {
    std::vector<std::array<int64_t, 2>> times;
    for (size_t i = 1; i < meeting.size(); i += 2) {
      const Json& event =
          page["ranks"][meeting[i].get<size_t>()]["events"][meeting[i + 1].get<size_t>()];
      times.push_back({event[4].get<int64_t>(), event[4].get<int64_t>() + event[5].get<int64_t>()});
    }
    EXPECT_LE(times[0][0], times[1][1] + slack);
    EXPECT_LE(times[1][0], times[0][1] + slack);
  }
}

TEST(CliProfileTest, PrintsATableForEachPhase) {
  const TempFolder folder;
  const Ran ran = profile(folder.path(), {"--prefill", "20", "--decode", "3"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const char* words : {"prefill: 2 steps of 20 tokens", "decode: 2 steps of 3 requests",
                            "\n  attention", "\n  router", "\n  experts", "\n  embedding and head",
                            "\n  idle", "/timeline.html", "/trace.json"}) {
    EXPECT_NE(ran.out.find(words), std::string::npos) << words << "\n" << ran.out;
  }
  EXPECT_EQ(ran.out.find("reductions"), std::string::npos) << ran.out;
}

TEST(CliProfileTest, WritesOverItsOwnFilesAlone) {
  const TempFolder folder;
  const Words small = {"--prefill", "4", "--decode", "1"};
  ASSERT_EQ(profile(folder.path(), small).code, 0);
  const std::string page = read_file(folder.path() + "/timeline.html").value();
  ASSERT_EQ(profile(folder.path(), small).code, 0);
  EXPECT_NE(read_file(folder.path() + "/timeline.html").value(), page);
  for (const char* name : {"/timeline.html", "/trace.json"}) {
    const std::string before = read_file(folder.path() + name).value();
    std::ofstream(folder.path() + name, std::ios::trunc) << "mine";
    const Ran ran = profile(folder.path(), small);
    EXPECT_EQ(ran.code, 2);
    EXPECT_NE(ran.err.find("has not written"), std::string::npos) << ran.err;
    EXPECT_EQ(read_file(folder.path() + name).value(), "mine");
    std::ofstream(folder.path() + name, std::ios::trunc) << before;
  }
}

TEST(CliProfileTest, RefusesWhatCannotBe) {
  const TempFolder folder;
  const auto refused = [&](const std::string& path, const Words& more, std::string_view why) {
    const Ran ran = profile(path, more);
    EXPECT_EQ(ran.code, 2) << why;
    EXPECT_NE(ran.err.find(why), std::string::npos) << ran.err;
  };
  refused(folder.path(), {"--prefill", "300", "--chunked-prefill-size", "256"},
          "does not hold so many tokens");
  refused(folder.path(), {"--prefill", "30", "--context-length", "32"}, "exceed the context");
  std::ofstream(folder.path() + "/file") << "x";
  refused(folder.path() + "/file", {}, "the folder cannot be made");
  refused(folder.path(), {"--trace", "t.json"}, "--trace");
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/timeline.html"));
}

// Both requests need all blocks: one of them waits.
TEST(CliProfileTest, ATooSmallCacheIsNamed) {
  const TempFolder folder;
  const Ran ran = profile(folder.path(), {"--prefill", "30", "--decode", "2", "--kv-blocks", "3"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("does not hold all requests of a step"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace braid::testing
