#include "model/safetensors.h"

#include <filesystem>

#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

// One entry of a header: U8 bytes [begin, end).
std::string entry(std::string_view name, int begin, int end) {
  return fmt::format(R"("{}": {{"dtype": "U8", "shape": [{}], "data_offsets": [{}, {}]}})", name,
                     end - begin, begin, end);
}

Result<std::vector<HeaderEntry>> parse(std::string_view file) {
  return parse_safetensors(testing::as_bytes(file), std::ssize(file), "x.safetensors");
}

std::string refusal_of(std::string_view file) { return text_of(parse(file)); }

std::string refusal(const std::string& header, size_t data_bytes) {
  const std::string file = testing::safetensors_text(header, data_bytes);
  return refusal_of(file);
}

TEST(SafetensorsTest, FindsTheBytesOfEachTensor) {
  const std::string file =
      testing::safetensors_text("{" + entry("b", 3, 5) + ", " + entry("a", 0, 3) + "}", 5);
  const auto tensors = *parse(file);
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "a");  // in the order of the bytes
  EXPECT_EQ(tensors[1].end - tensors[1].begin, 2);
  EXPECT_EQ(static_cast<int>(file[static_cast<size_t>(tensors[1].begin)]), 3);
  EXPECT_TRUE(parse(testing::safetensors_text("{}", 0)).ok());
}

TEST(SafetensorsTest, EmptyTensorsMayStandAnywhereBetween) {
  EXPECT_EQ(refusal("{" + entry("a", 0, 2) + "," + entry("none", 2, 2) + "," + entry("b", 2, 4) +
                        "," + entry("zero", 0, 0) + "," + entry("end", 4, 4) + "}",
                    4),
            "ok");
  EXPECT_NE(refusal("{" + entry("a", 0, 4) + "," + entry("none", 2, 2) + "}", 4), "ok");
}

TEST(SafetensorsTest, RefusesAFileWithoutRoomForItsHeader) {
  EXPECT_EQ(refusal_of("1234567"),
            "the file is too short for safetensors (file = x.safetensors, bytes = 7). "
            "Download the file again.");
  std::string truncated = testing::safetensors_text("{" + entry("a", 0, 3) + "}", 3).substr(0, 20);
  EXPECT_EQ(refusal_of(truncated),
            "the safetensors header ends behind the file's end (file = x.safetensors, "
            "header bytes = 60, file bytes = 20). Download the file again.");
  truncated[7] = 1;
  EXPECT_EQ(refusal_of(truncated),
            "the safetensors header is too long (file = x.safetensors, "
            "header bytes = 72057594037927996, limit = 100000000). "
            "The file is no safetensors file, or damaged: download it again.");
}

TEST(SafetensorsTest, RefusesATruncatedFile) {
  EXPECT_EQ(refusal("{" + entry("a", 0, 3) + "," + entry("b", 3, 9) + "}", 8),
            "a tensor ends behind the file's end (file = x.safetensors, tensor = b, end = 9, "
            "data bytes = 8). Download the file again.");
}

TEST(SafetensorsTest, RefusesOverlapsHolesAndLeftovers) {
  EXPECT_EQ(refusal("{" + entry("a", 0, 3) + "," + entry("b", 2, 5) + "}", 5),
            "two tensors overlap (file = x.safetensors, tensor = b, begin = 2, after = a, "
            "which ends at = 3). Download the file again.");
  EXPECT_EQ(refusal("{" + entry("a", 0, 3) + "," + entry("b", 4, 5) + "}", 5),
            "bytes belong to no tensor (file = x.safetensors, tensor = b, begin = 4, after = a, "
            "which ends at = 3). Download the file again.");
  EXPECT_EQ(refusal("{" + entry("a", 1, 3) + "}", 3),
            "bytes belong to no tensor (file = x.safetensors, tensor = a, begin = 1, "
            "after = the header, which ends at = 0). Download the file again.");
  EXPECT_EQ(refusal("{" + entry("a", 0, 3) + "}", 5),
            "bytes at the file's end belong to no tensor (file = x.safetensors, "
            "tensors end at = 3, data bytes = 5). Download the file again.");
}

TEST(SafetensorsTest, ReadsTheGoldenFiles) {
  const auto file =
      SafetensorsFile::open(testing::golden_folder("glm4_moe") + "/golden.safetensors");
  ASSERT_TRUE(file.ok()) << text_of(file);
  EXPECT_EQ(file->tensors().size(), 10u);
  const StoredTensor* logits = file->find("logits");
  ASSERT_NE(logits, nullptr);
  EXPECT_EQ(logits->type, StorageType::f32);
  EXPECT_EQ(logits->shape, (std::vector<int64_t>{96, 512}));
  EXPECT_EQ(logits->bytes, 96 * 512 * 4);
  EXPECT_EQ(file->find("input_ids")->type, StorageType::i64);
  EXPECT_EQ(file->find("logit"), nullptr);
}

TEST(SafetensorsTest, TensorsSurviveAMoveOfTheFile) {
  auto file = *SafetensorsFile::open(testing::golden_folder("qwen2") + "/golden.safetensors");
  const StoredTensor* before = file.find("logits");
  const SafetensorsFile moved = std::move(file);
  EXPECT_EQ(moved.find("logits"), before);
  const auto bytes = before->read();
  ASSERT_TRUE(bytes.ok());
  EXPECT_NE((*bytes)[0], (*bytes)[1]);  // still open
}

TEST(SafetensorsTest, AFileThatIsCutWhileItIsOpenIsAnErrorThatNamesTheTensor) {
  const TempFolder folder;
  folder.write("x.safetensors",
               testing::safetensors_text("{" + entry("a", 0, 3) + "," + entry("b", 3, 9) + "}", 9));
  const std::string path = folder.file("x.safetensors");
  const auto file = *SafetensorsFile::open(path);
  EXPECT_EQ(static_cast<int>((*file.find("b")->read())[5]), 8);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 4);
  EXPECT_TRUE(file.find("a")->read().ok());
  const auto cut = file.find("b")->read();
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().message(), "the file has become shorter since it was opened");
  EXPECT_NE(text_of(cut).find("path = " + path), std::string::npos);
  EXPECT_NE(text_of(cut).find("tensor = b"), std::string::npos);
}

}  // namespace
}  // namespace braid::model
