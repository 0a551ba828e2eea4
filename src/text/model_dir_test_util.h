// For tests: a model directory with the given files, removed at the end.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace braid::text {

class ModelDir {
 public:
  ModelDir() {
    const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::temp_directory_path() /
            fmt::format("braid_{}_{}_{}", test->test_suite_name(), test->name(), getpid());
    std::filesystem::create_directories(path_);
  }
  ModelDir(const ModelDir&) = delete;
  ~ModelDir() { std::filesystem::remove_all(path_); }

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name) << content;
  }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace braid::text
