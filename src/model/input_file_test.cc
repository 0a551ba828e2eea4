#include "model/input_file.h"

#include <sys/stat.h>

#include <filesystem>
#include <utility>
#include <vector>

#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

std::string read(const InputFile& file, int64_t offset, size_t bytes) {
  std::string text(bytes, '?');
  EXPECT_EQ(text_of(file.read(offset, std::as_writable_bytes(std::span(text)))), "ok");
  return text;
}

TEST(InputFileTest, ReadsPiecesAndMovesWithItsFile) {
  const TempFolder folder;
  folder.write("a", "hello");
  folder.write("b", "world!");
  InputFile a = *InputFile::open(folder.file("a"));
  InputFile b = *InputFile::open(folder.file("b"));
  EXPECT_EQ(read(a, 1, 3), "ell");
  a = std::move(b);
  EXPECT_EQ(a.bytes(), 6);
  EXPECT_EQ(a.path(), folder.file("b"));
  EXPECT_EQ(read(a, 0, 6), "world!");
  const InputFile c = std::move(a);
  EXPECT_EQ(read(c, 4, 2), "d!");
  EXPECT_EQ(read(c, 6, 0), "");
}

TEST(InputFileTest, AFileThatHasBecomeShorterIsAnError) {
  const TempFolder folder;
  folder.write("a", "hello");
  const InputFile file = *InputFile::open(folder.file("a"));
  std::filesystem::resize_file(folder.file("a"), 3);
  EXPECT_EQ(read(file, 0, 3), "hel");
  std::vector<std::byte> out(4);
  EXPECT_EQ(text_of(file.read(1, out)),
            "the file has become shorter since it was opened (path = " + folder.file("a") +
                ", bytes then = 5, nothing at = 3). Let the download finish, or download it "
                "again.");
}

TEST(InputFileTest, RefusesWhatIsNoFileWithContent) {
  const TempFolder folder;
  folder.write("empty", "");
  EXPECT_EQ(text_of(InputFile::open(folder.file("absent"))),
            "cannot open file (path = " + folder.file("absent") +
                ", reason = No such file or directory)");
  EXPECT_EQ(text_of(InputFile::open(folder.file("empty"))),
            "the file is empty (path = " + folder.file("empty") + "). Download it again.");
  EXPECT_EQ(text_of(InputFile::open(folder.path())),
            "not a regular file (path = " + folder.path() + ")");
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0600), 0);
  EXPECT_EQ(InputFile::open(folder.file("pipe")).error().message(), "not a regular file");
}

}  // namespace
}  // namespace braid::model
