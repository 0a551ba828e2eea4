#include "base/log.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace braid {
namespace {

// A console that keeps what is written, with a clock that stands still.
struct Recorder {
  std::string text;
  Clock::time_point time{};

  Console::Settings settings(bool is_terminal) {
    return {.write = [this](std::string_view written) { text += written; },
            .is_terminal = is_terminal,
            .now = [this] { return time; }};
  }
};

TEST(LogTest, StagePrintsTimeDetailAndMemory) {
  Recorder recorder;
  Console out(recorder.settings(false));
  Stage stage("loading weights", out);
  EXPECT_EQ(recorder.text, "");
  recorder.time += std::chrono::milliseconds(800);
  EXPECT_DOUBLE_EQ(stage.seconds(), 0.8);
  stage.done("17.4 MB");
  EXPECT_TRUE(recorder.text.starts_with("loading weights … 0.8 s, 17.4 MB, rss ")) << recorder.text;
  EXPECT_TRUE(recorder.text.ends_with("B\n"));
}

TEST(LogTest, ATerminalObeysNoMessage) {
  Recorder recorder;
  Console terminal(recorder.settings(true));
  terminal.error("no file 'a\x1b[2J\rb'\n\tremedy");
  EXPECT_EQ(recorder.text, "braid: error: no file 'a\\x1b[2J\\x0db'\n\tremedy\n");
  recorder.text.clear();
  terminal.transient("\x07");
  EXPECT_EQ(recorder.text, "\r\033[K\\x07");
  recorder.text.clear();
  Console file(recorder.settings(false));
  file.error("\x07");
  EXPECT_EQ(recorder.text, "braid: error: \x07\n");
}

TEST(LogTest, ATransientLineFitsTheTerminal) {
  Recorder recorder;
  Console::Settings settings = recorder.settings(true);
  settings.columns = [] { return size_t{30}; };
  Console narrow(settings);
  narrow.transient("a line that is longer than a terminal is wide");
  EXPECT_EQ(recorder.text, "\r\033[Ka line that is longer than a…");
  recorder.text.clear();
  settings.moves_cursor = false;
  Console dumb(settings);
  dumb.transient("nothing");
  dumb.line("a line");
  EXPECT_EQ(recorder.text, "a line\n");
  EXPECT_FALSE(dumb.replaces_lines());
}

TEST(LogTest, StagesMayBeHidden) {
  Recorder recorder;
  Console out(recorder.settings(true));
  out.set_shows_stages(false);
  Stage stage("reading", out);
  EXPECT_EQ(recorder.text, "\r\033[Kreading …");
  recorder.text.clear();
  stage.done();
  EXPECT_EQ(recorder.text, "\r\033[K");
}

TEST(LogTest, AStageLeftByAnErrorSaysSo) {
  Recorder recorder;
  Console out(recorder.settings(false));
  {
    const Stage stage("compiling", out);
    recorder.time += std::chrono::seconds(2);
  }
  EXPECT_EQ(recorder.text, "compiling … failed after 2.0 s\n");
}

TEST(LogDeathTest, AStageEndsOnce) {
  Recorder recorder;
  Console out(recorder.settings(false));
  Stage stage("compiling", out);
  stage.done();
  EXPECT_DEATH(stage.done(), "compiling");
}

TEST(LogTest, ATerminalShowsTheStageAtOnceAndReplacesIt) {
  Recorder recorder;
  Console out(recorder.settings(true));
  Stage stage("compiling", out);
  EXPECT_EQ(recorder.text, "\r\033[Kcompiling …");
  out.warn("odd");
  EXPECT_TRUE(recorder.text.ends_with("compiling …\r\033[Kbraid: warning: odd\n"));
  recorder.text.clear();
  stage.done();
  EXPECT_TRUE(recorder.text.starts_with("compiling … 0.0 µs, rss ")) << recorder.text;
}

TEST(LogTest, QuietSilencesAllButWarnings) {
  Recorder recorder;
  Console out(recorder.settings(true));
  out.set_quiet(true);
  Stage stage("compiling", out);
  out.line("line");
  stage.done();
  EXPECT_EQ(recorder.text, "");
  out.warn("odd");
  EXPECT_EQ(recorder.text, "braid: warning: odd\n");
}

TEST(LogTest, ThreadsDoNotMixLines) {
  Recorder recorder;
  Console out(recorder.settings(false));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int line = 0; line < 100; ++line) out.line("abc");
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::string expected;
  for (int line = 0; line < 400; ++line) expected += "abc\n";
  EXPECT_EQ(recorder.text, expected);
}

TEST(LogTest, Bytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.00 kB");
  EXPECT_EQ(format_bytes(9994), "9.99 kB");
  EXPECT_EQ(format_bytes(9996), "10.0 kB");
  EXPECT_EQ(format_bytes(17'442'832), "17.4 MB");
  EXPECT_EQ(format_bytes(999'600'000), "1.00 GB");
  EXPECT_EQ(format_bytes(706e9), "706 GB");
  EXPECT_EQ(format_bytes(5e18), "5000 PB");
}

TEST(LogTest, Seconds) {
  EXPECT_EQ(format_seconds(61.2e-6), "61.2 µs");
  EXPECT_EQ(format_seconds(0.0123), "12.3 ms");
  EXPECT_EQ(format_seconds(0.8), "0.8 s");
  EXPECT_EQ(format_seconds(59.97), "1 min 0 s");
  EXPECT_EQ(format_seconds(125), "2 min 5 s");
  EXPECT_EQ(format_seconds(3725), "1 h 2 min");
}

TEST(LogTest, ResidentMemoryIsPlausible) {
  const int64_t before = resident_bytes();
  EXPECT_GT(before, 100'000);
  const std::vector<char> touched(64 << 20, 1);
  EXPECT_GT(resident_bytes(), before + (32 << 20)) << static_cast<int>(touched[1]);
}

}  // namespace
}  // namespace braid
