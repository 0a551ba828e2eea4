// What braid takes for keys that config.json lacks, against transformers' own configuration classes
// (tests/data/config/defaults.json, by tools/make_config_defaults.py).
#include "model/results_test_util.h"

namespace braid::model {
namespace {

Json fixture() {
  return (*read_json_file(testing::source_path("tests/data/config/defaults.json")))["families"];
}

// With what the class gives no number for, or one that fits to no head.
Json bare(const Family& family) {
  Json json = {{"architectures", {family.class_name}}};
  if (family.model_type == "deepseek_v2") json["num_experts_per_tok"] = 6;
  if (family.model_type == "glm4_moe") json["head_dim"] = 128;
  return json;
}

TEST(DefaultsTest, OfEachFamilyAreThoseOfTransformers) {
  const Json classes = fixture();
  for (const Family* family : all_families()) {
    if (!classes.contains(family->model_type)) continue;
    const Json& expected = classes[std::string(family->model_type)];
    const Json defaults = Json::parse(family->defaults);
    EXPECT_GT(defaults.size(), 12u);
    for (const auto& [key, value] : defaults.items()) {
      const std::string name = key == "num_experts" ? "num_local_experts" : key;
      ASSERT_TRUE(expected.contains(name)) << family->model_type << " " << key;
      EXPECT_EQ(expected[name], value) << family->model_type << " " << key;
    }
  }
  EXPECT_EQ(classes.size(), 6u);
}

// With all keys of the class written out the model is the same as with none.
TEST(DefaultsTest, WrittenOutTheyChangeNothing) {
  const Json classes = fixture();
  for (const auto& [model_type, values] : classes.items()) {
    const Family& family = testing::family(model_type);
    const auto without = parse_config(bare(family));
    ASSERT_TRUE(without.ok()) << testing::text_of(without);
    Json whole = bare(family);
    for (const auto& [key, value] : values.items()) {
      if (!value.is_null()) whole[key] = value;
    }
    const auto with = parse_config(whole);
    ASSERT_TRUE(with.ok()) << testing::text_of(with);
    EXPECT_EQ(testing::results_of(*with), testing::results_of(*without)) << model_type;
    for (const Note& note : with->notes) EXPECT_FALSE(note.warning) << model_type << note.text;
  }
}

}  // namespace
}  // namespace braid::model
