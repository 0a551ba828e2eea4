#include "model/safetensors_header.h"

#include "model/testing.h"

namespace braid::model {
namespace {

std::string refusal(std::string_view json) {
  const auto result = parse_safetensors_header(json, "x.safetensors");
  if (result.ok()) return "accepted";
  EXPECT_EQ(result.error().kind(), ErrorKind::corrupt_data);
  return result.error().to_string();
}

// The refusal of a header whose only tensor "w" has this entry.
std::string entry_refusal(std::string_view entry) {
  return refusal(fmt::format(R"({{"w": {}}})", entry));
}

std::string expected(std::string_view what) {
  return fmt::format(
      "bad safetensors header: {} (file = x.safetensors, tensor = w). Download the file again.",
      what);
}

TEST(SafetensorsHeaderTest, ReadsEntries) {
  const auto entries = *parse_safetensors_header(
      R"({"__metadata__": {"format": "pt", "x": "y"},
          "b": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [4, 16]},
          "a": {"data_offsets": [0, 4], "shape": [], "dtype": "F32"},
          "none": {"dtype": "I64", "shape": [0, 7], "data_offsets": [16, 16]}}   )",
      "x");
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].name, "b");
  EXPECT_EQ(entries[0].type, StorageType::bf16);
  EXPECT_EQ(entries[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(entries[0].begin, 4);
  EXPECT_EQ(entries[0].end, 16);
  EXPECT_TRUE(entries[1].shape.empty());
  EXPECT_EQ(entries[2].shape, (std::vector<int64_t>{0, 7}));
}

TEST(SafetensorsHeaderTest, RefusesWhatIsNoHeader) {
  const std::string invalid =
      "bad safetensors header: the header is not valid JSON (file = x.safetensors). "
      "Download the file again.";
  EXPECT_EQ(refusal(""), invalid);
  EXPECT_EQ(refusal("{"), invalid);
  EXPECT_EQ(refusal("{} {}"), invalid);
  EXPECT_EQ(refusal("{\"\xff\": 1}"), invalid);
  EXPECT_NE(refusal("[]").find("unexpected array"), std::string::npos);
  EXPECT_NE(refusal("null").find("unexpected null"), std::string::npos);
  EXPECT_NE(refusal("7").find("unexpected number"), std::string::npos);
  EXPECT_NE(refusal(std::string(1 << 20, '[')).find("unexpected array"), std::string::npos);
}

TEST(SafetensorsHeaderTest, RefusesDuplicates) {
  const std::string entry = R"({"dtype": "U8", "shape": [0], "data_offsets": [0, 0]})";
  EXPECT_EQ(refusal(R"({"w": )" + entry + R"(, "w": )" + entry + "}"),
            expected("a tensor is named twice"));
  EXPECT_EQ(entry_refusal(R"({"dtype": "U8", "dtype": "I8"})"),
            expected("a tensor's key stands twice"));
  EXPECT_NE(refusal(R"({"__metadata__": {}, "__metadata__": {}})").find("named twice"),
            std::string::npos);
}

TEST(SafetensorsHeaderTest, RefusesBadEntries) {
  EXPECT_EQ(entry_refusal("[]"), expected("unexpected array"));
  EXPECT_EQ(entry_refusal("{}"), expected("a tensor has no dtype"));
  EXPECT_EQ(entry_refusal(R"({"dtype": "U8"})"), expected("a tensor has no shape"));
  EXPECT_EQ(entry_refusal(R"({"dtype": "U8", "shape": []})"),
            expected("a tensor has no data_offsets"));
  EXPECT_EQ(entry_refusal(R"({"dtype": "F4"})"), expected("unknown dtype F4"));
  EXPECT_EQ(entry_refusal(R"({"dtype": 4})"), expected("unexpected number"));
  EXPECT_EQ(entry_refusal(R"({"dtype": true})"), expected("unexpected boolean"));
  EXPECT_EQ(entry_refusal(R"({"dtype": {}})"), expected("unexpected object"));
  EXPECT_EQ(entry_refusal(R"({"shape": "4"})"), expected("unexpected string"));
  EXPECT_EQ(entry_refusal(R"({"strides": []})"), expected("a tensor has an unknown key"));
  EXPECT_NE(refusal(R"({"__metadata__": {"a": 1}})").find("unexpected number"), std::string::npos);
}

TEST(SafetensorsHeaderTest, RefusesBadNumbers) {
  EXPECT_EQ(entry_refusal(R"({"shape": [-1]})"), expected("a shape or an offset is negative"));
  EXPECT_EQ(entry_refusal(R"({"shape": [1.5]})"), expected("a number is not an integer"));
  EXPECT_EQ(entry_refusal(R"({"shape": [9223372036854775808]})"),
            expected("a number is too large"));
  EXPECT_EQ(entry_refusal(R"({"shape": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]})"),
            expected("a shape has too many dimensions"));
  EXPECT_EQ(entry_refusal(R"({"data_offsets": [1]})"), expected("data_offsets is not a pair"));
  EXPECT_EQ(entry_refusal(R"({"data_offsets": [1, 2, 3]})"),
            expected("data_offsets is not a pair"));
  EXPECT_EQ(entry_refusal(R"({"dtype": "F32", "shape": [4294967296, 4294967296],
                              "data_offsets": [0, 0]})"),
            expected("the size of a shape overflows"));
}

TEST(SafetensorsHeaderTest, RefusesOffsetsThatDoNotFitTheShape) {
  EXPECT_EQ(entry_refusal(R"({"dtype": "F32", "shape": [2, 3], "data_offsets": [8, 31]})"),
            expected("data_offsets [8, 31] do not agree with F32 [2, 3], which takes 24 bytes"));
  EXPECT_EQ(entry_refusal(R"({"dtype": "U8", "shape": [1], "data_offsets": [2, 1]})"),
            expected("data_offsets [2, 1] do not agree with U8 [1], which takes 1 bytes"));
}

TEST(SafetensorsHeaderTest, TensorBytes) {
  EXPECT_EQ(tensor_bytes(StorageType::f32, {}), 4);
  EXPECT_EQ(tensor_bytes(StorageType::bf16, std::vector<int64_t>{3, 5}), 30);
  EXPECT_EQ(tensor_bytes(StorageType::u8, std::vector<int64_t>{-1}), std::nullopt);
  EXPECT_EQ(shape_text(std::vector<int64_t>{2, 3}), "[2, 3]");
  EXPECT_EQ(shape_text({}), "[]");
}

}  // namespace
}  // namespace braid::model
