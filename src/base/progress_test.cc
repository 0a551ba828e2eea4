#include "base/progress.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace braid {
namespace {

struct Recorder {
  std::string text;
  Clock::time_point time{};

  Console::Settings settings(bool is_terminal) {
    return {.write = [this](std::string_view written) { text += written; },
            .is_terminal = is_terminal,
            .now = [this] { return time; }};
  }
};

TEST(ProgressTest, LineShowsShareSpeedAndTimeLeft) {
  EXPECT_EQ(progress_line("loading", 25'000'000, 100'000'000, 2.0, 100),
            "loading [######..................] 25 %, 25.0 MB of 100 MB, 12.5 MB/s, 6.0 s left");
  EXPECT_EQ(progress_line("loading", 100, 100, 1.0, 100),
            "loading [########################] 100 %, 100 B of 100 B, 100 B/s");
  EXPECT_EQ(progress_line("loading", 0, 100, 0.0, 0), "loading: 0 %, 0 B of 100 B, 0 B/s");
  EXPECT_EQ(progress_line("loading", 300, 200, 1.0, 0), "loading: 100 %, 300 B of 200 B, 300 B/s");
  EXPECT_EQ(progress_line("loading", 300, 0, 1.0, 100), "loading: 300 B, 300 B/s");
}

TEST(ProgressTest, TheBarTakesTheColumnsThatAreLeft) {
  for (const size_t columns : {20u, 40u, 79u, 119u}) {
    const std::string line =
        progress_line("loading the weights", 8'700'000, 17'400'000, 2, columns);
    EXPECT_TRUE(columns <= 40 || line.size() <= columns) << line;
    EXPECT_EQ(line.find('[') != line.npos, columns > 70) << line;
  }
}

TEST(ProgressTest, ATerminalSeesABarTenTimesASecond) {
  Recorder recorder;
  Console out(recorder.settings(true));
  Progress progress("loading", 1000, out);
  recorder.text.clear();
  recorder.time += std::chrono::milliseconds(99);
  progress.add(100);
  EXPECT_EQ(recorder.text, "");
  recorder.time += std::chrono::milliseconds(1);
  progress.add(400);
  EXPECT_EQ(recorder.text,
            "\r\033[Kloading [###########............] 50 %, 500 B of 1.00 kB, "
            "5.00 kB/s, 0.1 s left");
  recorder.text.clear();
  progress.add(500);
  EXPECT_EQ(recorder.text, "");
  recorder.time += std::chrono::milliseconds(900);
  progress.done();
  EXPECT_TRUE(recorder.text.starts_with("\r\033[Kloading … 1.0 s, 1.00 kB, 1.00 kB/s, rss "))
      << recorder.text;
}

TEST(ProgressTest, ElsewhereALineEveryTenSeconds) {
  Recorder recorder;
  Console out(recorder.settings(false));
  Progress progress("loading", 1000, out);
  for (int second = 0; second < 20; ++second) {
    recorder.time += std::chrono::seconds(1);
    progress.add(50);
  }
  EXPECT_EQ(recorder.text,
            "loading: 50 %, 500 B of 1.00 kB, 50 B/s, 10.0 s left\n"
            "loading: 100 %, 1.00 kB of 1.00 kB, 50 B/s\n");
  progress.done();
}

TEST(ProgressTest, QuietIsSilent) {
  Recorder recorder;
  Console out(recorder.settings(true));
  out.set_quiet(true);
  Progress progress("loading", 1000, out);
  recorder.time += std::chrono::seconds(60);
  progress.add(1000);
  progress.done();
  EXPECT_EQ(recorder.text, "");
}

TEST(ProgressTest, ThreadsAddUp) {
  Recorder recorder;
  Console out(recorder.settings(false));
  Progress progress("loading", 4000, out);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int step = 0; step < 1000; ++step) progress.add(1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  progress.done();
  EXPECT_NE(recorder.text.find(", 4.00 kB, "), std::string::npos) << recorder.text;
}

}  // namespace
}  // namespace braid
