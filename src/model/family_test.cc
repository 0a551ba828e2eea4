#include "model/family.h"

#include <set>

#include "model/testing.h"

namespace braid::model {
namespace {

TEST(FamilyTest, NamesRoundTrip) {
  std::set<std::string_view> names;
  for (const Family* family : all_families()) {
    EXPECT_EQ(*find_family(family->class_name), family);
    EXPECT_TRUE(names.insert(family->class_name).second);
    EXPECT_TRUE(names.insert(family->model_type).second);
  }
  for (const std::string_view name :
       {"glm4_moe", "deepseek_v2", "deepseek_v3", "qwen3_moe", "qwen2", "mixtral"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  EXPECT_EQ((*find_family("DeepseekV3ForCausalLM"))->model_type, "deepseek_v3");
}

TEST(FamilyTest, RefusesOthersAndListsItsOwn) {
  const auto result = find_family("LlamaForCausalLM");
  const std::string text = testing::text_of(result);
  EXPECT_TRUE(text.starts_with(
      "braid has no such architecture (architecture = LlamaForCausalLM). Supported: "
      "Glm4MoeForCausalLM, DeepseekV2ForCausalLM, DeepseekV3ForCausalLM, "
      "Qwen3MoeForCausalLM, Qwen2ForCausalLM, MixtralForCausalLM"))
      << text;
  EXPECT_EQ(result.error().kind(), ErrorKind::unsupported);
}

}  // namespace
}  // namespace braid::model
