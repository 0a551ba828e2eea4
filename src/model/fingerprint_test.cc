#include "model/fingerprint.h"

#include <gtest/gtest.h>

#include "base/temp_folder.h"

namespace braid::model {
namespace {

std::string safetensors(std::string_view header, std::string_view data) {
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  return file + std::string(header) + std::string(data);
}

TEST(FingerprintTest, OfAFileIsItsBytes) {
  const TempFolder folder;
  folder.write("a", "{}");
  folder.write("b", "{ }");
  EXPECT_EQ(fingerprint_of_file(folder.file("a")).size(), 16u);
  EXPECT_NE(fingerprint_of_file(folder.file("a")), fingerprint_of_file(folder.file("b")));
  EXPECT_EQ(fingerprint_of_file(folder.file("c")), "none");
}

TEST(FingerprintTest, OfHeadersDependsOnThemAlone) {
  const TempFolder folder;
  folder.write("model.safetensors", safetensors("{\"a\": 1}", "data"));
  const std::string first = fingerprint_of_headers(folder.path());
  folder.write("model.safetensors", safetensors("{\"a\": 1}", "atad"));
  EXPECT_EQ(fingerprint_of_headers(folder.path()), first);
  folder.write("model.safetensors", safetensors("{\"a\": 2}", "data"));
  EXPECT_NE(fingerprint_of_headers(folder.path()), first);
}

TEST(FingerprintTest, OfHeadersReadsTheShardsThatTheIndexNames) {
  const TempFolder folder;
  folder.write("model.safetensors.index.json", R"({"weight_map": {"x": "one", "y": "two"}})");
  folder.write("one", safetensors("{\"x\": 1}", ""));
  folder.write("two", safetensors("{\"y\": 1}", ""));
  folder.write("three", safetensors("{\"z\": 1}", ""));
  const std::string first = fingerprint_of_headers(folder.path());
  folder.write("three", safetensors("{\"z\": 2}", ""));
  EXPECT_EQ(fingerprint_of_headers(folder.path()), first);
  folder.write("two", safetensors("{\"y\": 2}", ""));
  EXPECT_NE(fingerprint_of_headers(folder.path()), first);
}

}  // namespace
}  // namespace braid::model
