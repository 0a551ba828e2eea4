#include "text/vocabulary.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace braid::text {
namespace {

TEST(VocabularyTest, FindsTokensAndIds) {
  const Vocabulary vocabulary = *Vocabulary::from_json({{"a", 0}, {"", 1}, {"你", 5}});
  EXPECT_EQ(vocabulary.size(), 6);
  EXPECT_EQ(vocabulary.id_of("你"), 5);
  EXPECT_EQ(vocabulary.id_of(""), 1);
  EXPECT_EQ(vocabulary.id_of("b"), std::nullopt);
  EXPECT_EQ(*vocabulary.token_of(0), "a");
  for (const int32_t id : {2, 6, -1, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(vocabulary.token_of(id), nullptr) << id;
  }
}

TEST(VocabularyTest, MovingKeepsIt) {
  Vocabulary source = *Vocabulary::from_json({{"a", 0}, {"a long token, allocated apart", 1}});
  const Vocabulary vocabulary = std::move(source);
  EXPECT_EQ(*vocabulary.token_of(0), "a");
  EXPECT_EQ(vocabulary.id_of(*vocabulary.token_of(1)), 1);
}

TEST(VocabularyTest, RefusesWhatIsNoVocabulary) {
  for (const Json& json :
       {Json(), Json::array(), Json{{"a", -1}}, Json{{"a", "0"}}, Json{{"a", 0.5}},
        Json{{"a", kMaxVocabularySize}}, Json{{"a", UINT64_MAX}}, Json{{"a", 0}, {"b", 0}}}) {
    const auto refused = Vocabulary::from_json(json);
    ASSERT_FALSE(refused.ok()) << json;
    EXPECT_EQ(refused.error().kind(), ErrorKind::corrupt_data);
  }
  EXPECT_EQ(Vocabulary::from_json(Json::object())->size(), 0);
}

TEST(VocabularyTest, AddRefusesASecondIdForAToken) {
  Vocabulary vocabulary;
  EXPECT_TRUE(vocabulary.add("a", 3).ok());
  const Status twice = vocabulary.add("a", 4);
  ASSERT_FALSE(twice.ok());
  EXPECT_NE(twice.to_string().find("ids = 3 and 4"), std::string::npos);
  const Status taken = vocabulary.add("b", 3);
  ASSERT_FALSE(taken.ok());
  EXPECT_NE(taken.to_string().find("'a' and 'b'"), std::string::npos);
}

}  // namespace
}  // namespace braid::text
