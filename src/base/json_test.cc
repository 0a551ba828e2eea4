#include "base/json.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <csignal>
#include <fstream>
#include <limits>
#include <thread>

#include "base/temp_folder.h"

namespace braid {
namespace {

TEST(JsonTest, ParsesAndNamesTheSourceOfErrors) {
  EXPECT_EQ((*parse_json(R"({"a": [1, 2]})", "text"))["a"][1], 2);
  const auto bad = parse_json("{\"a\": ", "config.json");
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.error().to_string().find("config.json"), std::string::npos);
}

TEST(JsonTest, ErrorsSayWhere) {
  EXPECT_EQ(parse_json("{\n  \"ä\": x}", "f.json").status().to_string(),
            "not valid JSON (source = f.json, line = 2, column = 8). Correct it there, or download "
            "the file again.");
  EXPECT_EQ(parse_json("{\"a\": 1,\n", "f.json").error().values()[1].second, "2");
  EXPECT_EQ(parse_json("", "f.json").error().remedy(), "The file is empty.");
  EXPECT_FALSE(parse_json("[1e999]", "f.json").ok());
}

TEST(JsonTest, ReadsThePythonWordsForNumbers) {
  const Json json = *parse_json(
      R"({"a": [0.0, Infinity], "b": -Infinity, "c": NaN, "d": "Infinity \" NaN", "NaN": 1})", "t");
  EXPECT_EQ(json["a"][1], std::numeric_limits<double>::infinity());
  EXPECT_EQ(json["b"], -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(json["c"].get<double>()));
  EXPECT_EQ(json["d"], "Infinity \" NaN");
  EXPECT_EQ(json["NaN"], 1);
  for (const char* bad : {"[Infinit]", "[Infinity1]", "{NaN: 1}", "[-NaN]"}) {
    EXPECT_FALSE(parse_json(bad, "t").ok()) << bad;
  }
}

TEST(JsonTest, RefusesDeepNesting) {
  const auto deep = parse_json(std::string(300, '[') + std::string(300, ']'), "deep");
  ASSERT_FALSE(deep.ok());
  EXPECT_EQ(deep.error().message(), "JSON is nested too deeply");
  EXPECT_TRUE(parse_json(std::string(200, '[') + std::string(200, ']'), "ok").ok());
}

TEST(JsonTest, MissingFileSaysWhy) {
  const auto missing = read_json_file("/nonexistent/config.json");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind(), ErrorKind::not_found);
  EXPECT_NE(missing.error().to_string().find("/nonexistent/config.json"), std::string::npos);
  EXPECT_FALSE(read_file("/tmp").ok());
}

TEST(JsonTest, FilesAndPipesAreReadToTheirEnd) {
  const TempFolder folder;
  const std::string text(200'000, 'x');
  std::signal(SIGPIPE, SIG_IGN);  // of the reader that wants no more
  folder.write("file", text);
  EXPECT_EQ(read_file(folder.file("file")).value(), text);
  EXPECT_FALSE(read_file(folder.file("file"), 199'999).ok());
  for (const int64_t limit : {int64_t{1} << 30, int64_t{100'000}}) {
    const std::string pipe = folder.file(fmt::format("pipe {}", limit));
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    std::thread writer([&] { std::ofstream(pipe) << text; });
    const Result<std::string> read = read_file(pipe, limit);
    writer.join();
    EXPECT_EQ(read.ok(), limit > 200'000);
    EXPECT_EQ(read.ok() ? *read : text, text);
  }
}

}  // namespace
}  // namespace braid
