#include "cli/streams.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <thread>

#include "base/json.h"
#include "cli/interrupt.h"
#include "cli/run.h"

namespace braid::cli {
namespace {

TEST(OutputTest, WritesLinesAndJson) {
  std::string text;
  Output out([&](std::string_view piece) { return text += piece, 0; });
  EXPECT_TRUE(out.write("a").ok());
  EXPECT_TRUE(out.line("b").ok());
  EXPECT_TRUE(out.json_line({{"bad utf-8", "\xff"}, {"line", "x\ny"}}).ok());
  EXPECT_EQ(text, "ab\n{\"bad utf-8\":\"\xef\xbf\xbd\",\"line\":\"x\\ny\"}\n");
  EXPECT_FALSE(out.closed());
}

TEST(OutputTest, ControlsWhatATerminalIsTold) {
  std::string text;
  const auto write = [&](std::string_view piece) { return text += piece, 0; };
  Output pipe(write, /*is_terminal=*/false);
  EXPECT_TRUE(pipe.write("\x1b[2Ja\n").ok());
  Output terminal(write, /*is_terminal=*/true);
  EXPECT_TRUE(terminal.write("\x1b[2Ja\n").ok());
  EXPECT_TRUE(terminal.line("b\r").ok());
  EXPECT_EQ(text, "\x1b[2Ja\n\\x1b[2Ja\nb\\x0d\n");
}

TEST(OutputTest, NothingIsNotWritten) {
  Output out([](std::string_view) { return EIO; });
  EXPECT_TRUE(out.write("").ok());
}

TEST(OutputTest, TellsAClosedOutputFromABrokenOne) {
  Output closed([](std::string_view) { return EPIPE; });
  EXPECT_FALSE(closed.write("a").ok());
  EXPECT_TRUE(closed.closed());
  Output broken([](std::string_view) { return ENOSPC; });
  const Status status = broken.write("abc");
  EXPECT_FALSE(broken.closed());
  EXPECT_EQ(status.error().kind(), ErrorKind::fault);
  EXPECT_NE(status.to_string().find("bytes = 3"), std::string::npos);
}

TEST(InterruptTest, NotesTheFirstSignal) {
  {
    const InterruptGuard guard;
    EXPECT_FALSE(guard.interrupted());
    std::raise(SIGINT);
    EXPECT_TRUE(guard.interrupted());
  }
  const InterruptGuard again;
  EXPECT_FALSE(again.interrupted());
}

TEST(InterruptDeathTest, ASecondSignalAfterAWhileEndsTheProcess) {
  const auto twice = [] {
    const InterruptGuard guard;
    std::raise(SIGINT);
    std::raise(SIGINT);  // the same wish, sent twice
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    if (guard.interrupted()) std::raise(SIGINT);
  };
  EXPECT_EXIT(twice(), ::testing::KilledBySignal(SIGINT), "");
}

// The version is the one that CMakeLists.txt builds.
TEST(RunTest, VersionAgreesWithTheBuild) {
  const std::string build = read_file(BRAID_SOURCE_DIR "/CMakeLists.txt").value();
  EXPECT_NE(build.find(fmt::format("project(braid VERSION {} ", kVersion)), std::string::npos);
}

}  // namespace
}  // namespace braid::cli
