#include "model/mapped_file.h"

#include <sys/stat.h>

#include <utility>

#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

TEST(MappedFileTest, MovesWithoutMovingTheBytes) {
  const TempFolder folder;
  folder.write("a", "hello");
  folder.write("b", "world!");
  MappedFile a = *MappedFile::open(folder.file("a"));
  MappedFile b = *MappedFile::open(folder.file("b"));
  const std::byte* bytes = b.bytes().data();
  a = std::move(b);
  EXPECT_EQ(a.bytes().data(), bytes);
  EXPECT_EQ(a.bytes().size(), 6u);
  EXPECT_EQ(static_cast<char>(a.bytes()[0]), 'w');
  const MappedFile c = std::move(a);
  EXPECT_EQ(c.bytes().data(), bytes);
}

TEST(MappedFileTest, RefusesWhatIsNoFileWithContent) {
  const TempFolder folder;
  folder.write("empty", "");
  EXPECT_EQ(text_of(MappedFile::open(folder.file("absent"))),
            "cannot open file (path = " + folder.file("absent") +
                ", reason = No such file or directory)");
  EXPECT_EQ(text_of(MappedFile::open(folder.file("empty"))),
            "the file is empty (path = " + folder.file("empty") + "). Download it again.");
  EXPECT_EQ(text_of(MappedFile::open(folder.path())),
            "not a regular file (path = " + folder.path() + ")");
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::open(folder.file("pipe")).error().message(), "not a regular file");
}

}  // namespace
}  // namespace braid::model
