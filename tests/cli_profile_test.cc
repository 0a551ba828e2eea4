// braid profile, end to end.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/temp_folder.h"
#include "flow/types.h"
#include "support/command.h"
#include "support/models.h"

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

TEST(CliProfileTest, PageTraceAndTableAgree) {
  const TempFolder folder;
  const std::string path = folder.path() + "/of/profiles";
  const Ran ran = profile(path, {"--tp", "2", "--dp", "2", "--prefill", "300", "--decode", "5",
                                 "--chunked-prefill-size", "512", "--overlap-chunks", "2",
                                 "--dual-stream", "on", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json result = ran.json(), page = data_of(path);
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
    EXPECT_EQ(lanes.size(), 3u);  // compute, aux, comm
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
