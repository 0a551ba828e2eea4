#include "model/safetensors.h"

#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

// One entry of a header: U8 bytes [begin, end).
std::string entry(std::string_view name, int begin, int end) {
  return fmt::format(R"("{}": {{"dtype": "U8", "shape": [{}], "data_offsets": [{}, {}]}})", name,
                     end - begin, begin, end);
}

std::string refusal(const std::string& header, size_t data_bytes) {
  const std::string file = testing::safetensors_text(header, data_bytes);
  return text_of(parse_safetensors(testing::as_bytes(file), "x.safetensors"));
}

TEST(SafetensorsTest, FindsTheBytesOfEachTensor) {
  const std::string file =
      testing::safetensors_text("{" + entry("b", 3, 5) + ", " + entry("a", 0, 3) + "}", 5);
  const auto tensors = *parse_safetensors(testing::as_bytes(file), "x");
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "a");  // in the order of the bytes
  EXPECT_EQ(tensors[1].bytes.size(), 2u);
  EXPECT_EQ(static_cast<int>(tensors[1].bytes[0]), 3);
  EXPECT_TRUE(parse_safetensors(testing::as_bytes(testing::safetensors_text("{}", 0)), "x").ok());
}

TEST(SafetensorsTest, EmptyTensorsMayStandAnywhereBetween) {
  EXPECT_EQ(refusal("{" + entry("a", 0, 2) + "," + entry("none", 2, 2) + "," + entry("b", 2, 4) +
                        "," + entry("zero", 0, 0) + "," + entry("end", 4, 4) + "}",
                    4),
            "ok");
  EXPECT_NE(refusal("{" + entry("a", 0, 4) + "," + entry("none", 2, 2) + "}", 4), "ok");
}

TEST(SafetensorsTest, RefusesAFileWithoutRoomForItsHeader) {
  EXPECT_EQ(text_of(parse_safetensors(testing::as_bytes("1234567"), "x.safetensors")),
            "the file is too short for safetensors (file = x.safetensors, bytes = 7). "
            "Download the file again.");
  std::string truncated = testing::safetensors_text("{" + entry("a", 0, 3) + "}", 3).substr(0, 20);
  EXPECT_EQ(text_of(parse_safetensors(testing::as_bytes(truncated), "x.safetensors")),
            "the safetensors header ends behind the file's end (file = x.safetensors, "
            "header bytes = 60, file bytes = 20). Download the file again.");
  truncated[7] = 1;
  EXPECT_EQ(text_of(parse_safetensors(testing::as_bytes(truncated), "x.safetensors")),
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
  const TensorView* logits = file->find("logits");
  ASSERT_NE(logits, nullptr);
  EXPECT_EQ(logits->type, StorageType::f32);
  EXPECT_EQ(logits->shape, (std::vector<int64_t>{96, 512}));
  EXPECT_EQ(logits->bytes.size(), 96u * 512 * 4);
  EXPECT_EQ(file->find("input_ids")->type, StorageType::i64);
  EXPECT_EQ(file->find("logit"), nullptr);
}

TEST(SafetensorsTest, ViewsSurviveAMoveOfTheFile) {
  auto file = *SafetensorsFile::open(testing::golden_folder("qwen2") + "/golden.safetensors");
  const TensorView* before = file.find("logits");
  const SafetensorsFile moved = std::move(file);
  EXPECT_EQ(moved.find("logits"), before);
  EXPECT_NE(before->bytes[0], before->bytes[1]);  // still mapped
}

}  // namespace
}  // namespace braid::model
