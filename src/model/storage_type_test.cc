#include "model/storage_type.h"

#include <gtest/gtest.h>

namespace braid::model {
namespace {

TEST(StorageTypeTest, NamesRoundTrip) {
  for (int i = 0; i <= static_cast<int>(StorageType::boolean); ++i) {
    const auto type = static_cast<StorageType>(i);
    EXPECT_EQ(parse_storage_type(name_of(type)), type) << name_of(type);
  }
  EXPECT_EQ(parse_storage_type("F8_E4M3"), StorageType::f8_e4m3);
  EXPECT_EQ(parse_storage_type("f32"), std::nullopt);
  EXPECT_EQ(parse_storage_type(""), std::nullopt);
}

TEST(StorageTypeTest, Bytes) {
  EXPECT_EQ(bytes_of(StorageType::f64), 8);
  EXPECT_EQ(bytes_of(StorageType::f32), 4);
  EXPECT_EQ(bytes_of(StorageType::bf16), 2);
  EXPECT_EQ(bytes_of(StorageType::f8_e4m3), 1);
  EXPECT_EQ(bytes_of(StorageType::boolean), 1);
}

}  // namespace
}  // namespace braid::model
