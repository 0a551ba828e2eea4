#include "base/output_file.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "base/json.h"
#include "base/temp_folder.h"

namespace braid {
namespace {

namespace fs = std::filesystem;

// Files of this process may not grow beyond `bytes`; the signal that says so is ignored.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit now = before_;
    now.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

TEST(OutputFileTest, IsThereAtItsEndOnly) {
  const TempFolder folder;
  const std::string path = folder.file("trace.json");
  folder.write("trace.json", "old");
  {
    OutputFile file = OutputFile::create(path, "the trace").value();
    ASSERT_TRUE(file.write("new ").ok());
    ASSERT_TRUE(file.write("text").ok());
    EXPECT_EQ(*read_file(path), "old");
    ASSERT_TRUE(file.finish().ok());
  }
  EXPECT_EQ(*read_file(path), "new text");
  EXPECT_FALSE(fs::exists(path + ".unfinished"));
}

TEST(OutputFileTest, LeavesNothingWhenItIsGivenUp) {
  const TempFolder folder;
  const std::string path = folder.file("x");
  {
    OutputFile file = OutputFile::create(path, "the trace").value();
    ASSERT_TRUE(file.write("half of").ok());
    const OutputFile moved = std::move(file);
    EXPECT_TRUE(fs::exists(path + ".unfinished"));
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(OutputFileTest, NothingTruncatedStays) {
  const TempFolder folder;
  const std::string path = folder.file("x");
  folder.write("x", "old");
  const FileSizeLimit limit(1000);
  const Status written = write_file(path, std::string(5000, 'x'), "the trace");
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().kind(), ErrorKind::fault);
  EXPECT_NE(written.to_string().find("File too large"), std::string::npos) << written.to_string();
  EXPECT_EQ(*read_file(path), "old");
  EXPECT_FALSE(fs::exists(path + ".unfinished"));
}

TEST(OutputFileTest, AFullDiskIsTold) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const Status written = write_file("/dev/full", "text", "the heat");
  ASSERT_FALSE(written.ok());
  EXPECT_NE(written.to_string().find("the heat could not be written whole"), std::string::npos);
  EXPECT_NE(written.to_string().find("No space left"), std::string::npos) << written.to_string();
}

TEST(OutputFileTest, WhatIsNoFileStaysWhatItIs) {
  const TempFolder folder;
  EXPECT_TRUE(write_file("/dev/null", "text", "the trace").ok());
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  folder.write("real", "old");
  fs::create_symlink(folder.file("real"), folder.file("link"));
  ASSERT_TRUE(write_file(folder.file("link"), "new", "the trace").ok());
  EXPECT_TRUE(fs::is_symlink(folder.file("link")));
  EXPECT_EQ(*read_file(folder.file("real")), "new");
}

TEST(OutputFileTest, AFolderThatIsNotThereIsAnErrorAtOnce) {
  const auto file = OutputFile::create("/no/such/folder/x", "the trace");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().kind(), ErrorKind::usage);
  EXPECT_NE(file.error().to_string().find("the trace can't be written"), std::string::npos);
  EXPECT_NE(file.error().to_string().find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace braid
