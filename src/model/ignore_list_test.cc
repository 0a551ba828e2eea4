#include "model/ignore_list.h"

#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

bool listed(const std::vector<std::string>& entries, std::string_view module) {
  return *IgnoreList::parse(entries)->matches(module);
}

TEST(IgnoreListTest, NamesMatchWhole) {
  EXPECT_TRUE(listed({"lm_head", "x"}, "lm_head"));
  EXPECT_FALSE(listed({"lm_head"}, "model.lm_head"));
  EXPECT_FALSE(listed({"lm_head"}, "lm_head2"));
  EXPECT_FALSE(*IgnoreList().matches("lm_head"));
}

TEST(IgnoreListTest, ExpressionsMatchFromTheStart) {
  EXPECT_TRUE(listed({"re:.*mlp.gate$"}, "model.layers.1.mlp.gate"));
  EXPECT_FALSE(listed({"re:.*mlp.gate$"}, "model.layers.1.mlp.gate_proj"));
  EXPECT_TRUE(listed({"re:model"}, "model.layers.1"));
  EXPECT_FALSE(listed({"re:layers"}, "model.layers.1"));
  EXPECT_TRUE(listed({"re:model\\.layers\\.(0|5)\\..*"}, "model.layers.5.mlp"));
}

TEST(IgnoreListTest, GlobsMatchWhole) {
  EXPECT_TRUE(listed({"*mlp.gate"}, "model.layers.1.mlp.gate"));
  EXPECT_FALSE(listed({"*mlp.gate"}, "model.layers.1.mlp.gate_proj"));
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("a*b*c", "a12b3b4c"));
  EXPECT_FALSE(glob_matches("a*b*c", "a12b3b4"));
  EXPECT_TRUE(glob_matches("layers.?.mlp", "layers.1.mlp"));
  EXPECT_FALSE(glob_matches("layers.?.mlp", "layers.10.mlp"));
  EXPECT_FALSE(glob_matches("", "a"));
  EXPECT_TRUE(glob_matches("", ""));
  EXPECT_FALSE(glob_matches("?", ""));
  // No exponential search.
  EXPECT_FALSE(glob_matches("*a*a*a*a*a*a*a*a*a*a*b", std::string(2000, 'a')));
}

TEST(IgnoreListTest, RefusesWhatItCannotMatch) {
  EXPECT_EQ(text_of(IgnoreList::parse({"re:("})),
            "bad regular expression in the quantization's ignore list (expression = (, at = 1, "
            "reason = missing closing parenthesis)");
  EXPECT_EQ(text_of(IgnoreList::parse({"layers.[0-9].mlp"})),
            "braid has no rule for this entry of the quantization's ignore list (entry = "
            "layers.[0-9].mlp). "
            "Supported: names, globs with * and ?, and re: expressions below 1 KiB.");
  EXPECT_FALSE(IgnoreList::parse({std::string(2000, 'a')}).ok());
}

TEST(IgnoreListTest, AnExpressionThatTakesTooLongIsAnError) {
  const auto list = IgnoreList::parse({"re:(a+)+$"});
  EXPECT_EQ(text_of(list->matches(std::string(40, 'a') + "b")),
            "a regular expression of the quantization's ignore list takes too long "
            "(expression = (a+)+$, module = " +
                std::string(40, 'a') + "b, reason = match limit exceeded)");
}

}  // namespace
}  // namespace braid::model
