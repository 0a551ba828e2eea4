// Every key of a configuration of every family, renamed, moved and removed: the model that results
// is the same, or something is said, or it is refused.
#include "model/results_test_util.h"

namespace braid::model {
namespace {

std::string said(const ModelConfig& config) {
  std::string text;
  for (const Note& note : config.notes) text += note.text + "\n";
  return text;
}

// A configuration, and how often its changes ended in which way.
class Mutations {
 public:
  explicit Mutations(std::string name)
      : name_(std::move(name)),
        json_(*read_json_file(testing::golden_folder(name_) + "/config.json")) {
    const auto config = parse_config(json_);
    EXPECT_TRUE(config.ok()) << testing::text_of(config);
    results_ = testing::results_of(*config);
    said_ = said(*config);
  }

  void run() {
    for (const auto& pointer : leaves()) {
      const Json value = json_.at(pointer);
      Json removed = json_;
      removed.at(pointer.parent_pointer()).erase(pointer.back());
      // Without the section weights that are stored quantized are refused when they are read.
      if (pointer.to_string() != "/quantization_config") {
        expect_no_silence(removed, pointer, "removed");
      }
      Json renamed = removed;
      renamed.at(pointer.parent_pointer())[pointer.back() + "_x"] = value;
      expect_no_silence(renamed, pointer, "renamed");
      EXPECT_TRUE(has_no_meaning(pointer) || unlike_before(renamed))
          << name_ << pointer << " renamed, and nothing is said";
      Json moved = removed;
      if (pointer.parent_pointer().empty()) {
        moved["rope_parameters"][pointer.back()] = value;
      } else {
        moved[pointer.back()] = value;
      }
      expect_no_silence(moved, pointer, "moved");
    }
    EXPECT_GT(changes_, 60) << name_;
  }

 private:
  using Pointer = Json::json_pointer;

  // All keys, those of inner objects included.
  std::vector<Pointer> leaves() const {
    std::vector<Pointer> found;
    collect(Pointer(), json_, found);
    return found;
  }
  static void collect(const Pointer& at, const Json& object, std::vector<Pointer>& found) {
    for (const auto& [key, value] : object.items()) {
      found.push_back(at / key);
      if (value.is_object()) collect(at / key, value, found);
    }
  }

  // Names of groups are anybody's; how activations are quantized is no business of braid's.
  static bool has_no_meaning(const Pointer& pointer) {
    const std::string text = pointer.to_string();
    return text.ends_with("/group_0") || text.find("/input_activations/") != text.npos;
  }

  bool unlike_before(const Json& changed) const {
    const auto config = parse_config(changed);
    return !config.ok() || said(*config) != said_;
  }

  void expect_no_silence(const Json& changed, const Pointer& pointer, const char* how) {
    ++changes_;
    const auto config = parse_config(changed);
    if (!config.ok() || testing::results_of(*config) == results_) return;
    EXPECT_NE(said(*config), said_)
        << name_ << pointer << " " << how << ": other results, and nothing is said";
  }

  std::string name_;
  Json json_;
  std::string results_, said_;
  int changes_ = 0;
};

TEST(MutationTest, NoChangeOfAKeyIsSilent) {
  for (const char* name : {"glm4_moe", "deepseek_v2", "deepseek_v3", "qwen3_moe", "qwen2",
                           "mixtral", "glm4_moe_fp8_block", "deepseek_v3_fp8_block",
                           "mixtral_fp8_tensor", "qwen3_moe_fp8_channel", "glm4_moe_nvfp4"}) {
    Mutations(name).run();
  }
}

TEST(MutationTest, TheGoldensAreReadWithoutAWord) {
  for (const Family* family : all_families()) {
    const auto config = load_config(testing::golden_folder(family->model_type));
    ASSERT_TRUE(config.ok()) << testing::text_of(config);
    EXPECT_EQ(said(*config), "") << family->model_type;
  }
}

}  // namespace
}  // namespace braid::model
