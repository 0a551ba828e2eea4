#include "model/architecture.h"

#include "model/testing.h"

namespace braid::model {
namespace {

TEST(ArchitectureTest, NamesRoundTrip) {
  for (const Architecture architecture :
       {Architecture::glm4_moe, Architecture::deepseek_v2, Architecture::deepseek_v3,
        Architecture::qwen3_moe, Architecture::qwen2, Architecture::mixtral}) {
    EXPECT_EQ(*parse_architecture(name_of(architecture)), architecture);
  }
  EXPECT_EQ(*parse_architecture("DeepseekV3ForCausalLM"), Architecture::deepseek_v3);
}

TEST(ArchitectureTest, RefusesOthersAndListsItsOwn) {
  const auto result = parse_architecture("LlamaForCausalLM");
  EXPECT_EQ(testing::text_of(result),
            "braid has no such architecture (architecture = LlamaForCausalLM). Supported: "
            "Glm4MoeForCausalLM, DeepseekV2ForCausalLM, DeepseekV3ForCausalLM, "
            "Qwen3MoeForCausalLM, Qwen2ForCausalLM, MixtralForCausalLM.");
  EXPECT_EQ(result.error().kind(), ErrorKind::unsupported);
}

}  // namespace
}  // namespace braid::model
