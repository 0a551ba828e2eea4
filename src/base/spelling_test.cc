#include "base/spelling.h"

#include <gtest/gtest.h>

#include <vector>

namespace braid {
namespace {

TEST(SpellingTest, Distances) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("same", "same"), 0u);
}

TEST(SpellingTest, NearestWord) {
  const std::vector<std::string> known = {"num_hidden_layers", "hidden_size", "top_p", "top_k"};
  EXPECT_EQ(nearest_word("num_hidden_layer", known), "num_hidden_layers");
  EXPECT_EQ(nearest_word("top_q", known), "top_p");  // the first of equals
  EXPECT_EQ(nearest_word("something_else", known), "");
  const std::vector<std::string> brief = {"tp", "ep", "seed"};
  EXPECT_EQ(nearest_word("tpp", brief), "tp");
  EXPECT_EQ(nearest_word("abc", brief), "");  // any word is near to a short one
  EXPECT_EQ(nearest_word("n", brief), "");
}

}  // namespace
}  // namespace braid
