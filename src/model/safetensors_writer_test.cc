#include <algorithm>

#include "model/safetensors.h"
#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

TEST(SafetensorsWriterTest, WhatIsWrittenIsReadBack) {
  const TempFolder folder;
  const std::vector<uint8_t> bytes = {1, 2, 3};
  const std::vector<float> values = {0.5f, -1.0f, 2.0f, 4.0f};
  const std::vector<int64_t> ids = {1, -2};
  const std::vector<TensorView> written = {
      testing::view_of("bytes \"quoted\" é", StorageType::u8, {3}, bytes),
      testing::view_of("values", StorageType::f32, {2, 2}, values),
      testing::view_of("ids", StorageType::i64, {2}, ids),
      testing::view_of("none", StorageType::f32, {0, 2}, std::vector<float>{})};
  const std::string path = folder.file("out.safetensors");
  ASSERT_EQ(text_of(write_safetensors(path, written)), "ok");
  const auto file = SafetensorsFile::open(path);
  ASSERT_TRUE(file.ok()) << text_of(file);
  EXPECT_EQ(file->tensors().size(), written.size());
  for (const TensorView& tensor : written) {
    const StoredTensor* read = file->find(tensor.name);
    ASSERT_NE(read, nullptr) << tensor.name;
    EXPECT_EQ(read->type, tensor.type);
    EXPECT_EQ(read->shape, tensor.shape);
    EXPECT_TRUE(std::ranges::equal(*read->read(), tensor.bytes)) << tensor.name;
    EXPECT_EQ(read->offset % bytes_of(read->type), 0) << tensor.name;
  }
}

TEST(SafetensorsWriterTest, ReplacesAFileAndLeavesNothingElse) {
  const TempFolder folder;
  folder.write("out.safetensors", "old content");
  const std::vector<float> one = {1.0f};
  const std::vector<TensorView> tensors = {testing::view_of("w", StorageType::f32, {}, one)};
  ASSERT_TRUE(write_safetensors(folder.file("out.safetensors"), tensors).ok());
  EXPECT_TRUE(SafetensorsFile::open(folder.file("out.safetensors")).ok());
  const std::filesystem::directory_iterator entries(folder.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST(SafetensorsWriterTest, RefusesWhatCouldNotBeReadBack) {
  const TempFolder folder;
  const std::vector<float> two = {1.0f, 2.0f};
  const TensorView tensor = testing::view_of("w", StorageType::f32, {2}, two);
  const std::string path = folder.file("out.safetensors");
  EXPECT_EQ(text_of(write_safetensors(path, std::vector{tensor, tensor})),
            "a tensor's name is taken (tensor = w)");
  EXPECT_EQ(text_of(write_safetensors(
                path, std::vector{testing::view_of("w", StorageType::f32, {3}, two)})),
            "a tensor's bytes do not agree with its type and shape (tensor = w, dtype = F32, "
            "shape = [3], bytes = 8)");
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(text_of(write_safetensors(folder.file("no/out"), std::vector{tensor})),
            "cannot write file (path = " + folder.file("no/out.unfinished") +
                ", reason = No such file or directory)");
}

}  // namespace
}  // namespace braid::model
