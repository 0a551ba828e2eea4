#include "model/rotary.h"

#include <cmath>

#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

Result<RotaryConfig> parse(const Json& json, int64_t dim = 64) {
  return parse_rotary({json, "config.json"}, dim, false, 4096);
}

TEST(RotaryTest, FrequenciesAreAsComputedFromTheFormulas) {
  const Json cases = *read_json_file(testing::source_path("tests/data/rotary/frequencies.json"));
  ASSERT_GE(cases.size(), 7u);
  for (const auto& [name, expected] : cases.items()) {
    Json section = {{"rope_theta", expected["theta"]}};
    if (expected.contains("factor")) {
      section["rope_type"] = "yarn";
      section["original_max_position_embeddings"] = expected["original"];
      for (const char* key :
           {"factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"}) {
        if (expected.contains(key)) section[key] = expected[key];
      }
    }
    const auto rotary = parse({{"rope_parameters", section}}, expected["dim"].get<int64_t>());
    ASSERT_TRUE(rotary.ok()) << text_of(rotary);
    const std::vector<float> frequencies = inverse_frequencies(*rotary);
    ASSERT_EQ(frequencies.size(), expected["frequencies"].size());
    for (size_t i = 0; i < frequencies.size(); ++i) {
      const double value = expected["frequencies"][i].get<double>();
      EXPECT_NEAR(frequencies[i], value, 2e-6 * value) << name << " " << i;
    }
    EXPECT_NEAR(cos_sin_multiplier(*rotary), expected["cos_sin_multiplier"].get<double>(), 1e-6);
    EXPECT_NEAR(softmax_scale_multiplier(*rotary),
                expected["softmax_scale_multiplier"].get<double>(), 1e-12);
  }
}

TEST(RotaryTest, KeysMayStandInAnyOfThreePlaces) {
  const Json yarn = {{"type", "yarn"}, {"factor", 4.0}};
  for (const Json& json :
       {Json{{"rope_theta", 5e5}, {"rope_scaling", yarn}},
        Json{{"rope_theta", 5e5}, {"rope_parameters", yarn}},
        Json{{"rope_theta", 1e4},
             {"rope_parameters", {{"rope_theta", 5e5}, {"rope_type", "yarn"}, {"factor", 4}}}}}) {
    const auto rotary = parse(json);
    ASSERT_TRUE(rotary.ok()) << text_of(rotary);
    EXPECT_EQ(rotary->theta, 5e5);
    ASSERT_TRUE(rotary->yarn.has_value());
    EXPECT_EQ(rotary->yarn->factor, 4.0);
    EXPECT_EQ(rotary->yarn->original_max_positions, 4096);  // max_position_embeddings
  }
}

TEST(RotaryTest, PlainWithoutScaling) {
  for (const Json& json :
       {Json{{"rope_theta", 10000}}, Json{{"rope_theta", 10000.0}, {"rope_scaling", nullptr}},
        Json{{"rope_parameters", {{"rope_theta", 1e4}}}},
        Json{{"rope_theta", 1e4}, {"rope_scaling", {{"type", "default"}}}}}) {
    const auto rotary = parse(json);
    ASSERT_TRUE(rotary.ok()) << text_of(rotary);
    EXPECT_EQ(rotary->theta, 10000.0);
    EXPECT_FALSE(rotary->yarn.has_value());
    EXPECT_EQ(cos_sin_multiplier(*rotary), 1.0f);
    EXPECT_EQ(softmax_scale_multiplier(*rotary), 1.0);
    EXPECT_EQ(inverse_frequencies(*rotary)[0], 1.0f);
  }
}

TEST(RotaryTest, AttentionFactorReplacesTheMultiplier) {
  const auto rotary =
      parse({{"rope_theta", 1e4},
             {"rope_scaling", {{"type", "yarn"}, {"factor", 8.0}, {"attention_factor", 1.5}}}});
  EXPECT_EQ(cos_sin_multiplier(*rotary), 1.5f);
}

TEST(RotaryTest, RefusesOtherTypesByName) {
  const auto llama = parse({{"rope_theta", 1e4}, {"rope_scaling", {{"rope_type", "llama3"}}}});
  EXPECT_EQ(text_of(llama),
            "braid has no such rotary scaling (key = rope_type, value = \"llama3\", "
            "in = rope_scaling of config.json). Supported: default, yarn.");
  EXPECT_EQ(llama.error().kind(), ErrorKind::unsupported);
  for (const char* type : {"linear", "dynamic", "longrope", "mrope"}) {
    EXPECT_FALSE(parse({{"rope_theta", 1e4}, {"rope_scaling", {{"type", type}}}}).ok());
  }
}

TEST(RotaryTest, RefusesBadNumbers) {
  EXPECT_EQ(parse(Json::object()).error().message(), "a key is missing");
  EXPECT_FALSE(parse({{"rope_theta", 1.0}}).ok());
  EXPECT_FALSE(parse({{"rope_theta", 1e300}}).ok());
  EXPECT_FALSE(parse({{"rope_theta", 1e4}, {"rope_scaling", {{"type", "yarn"}}}}).ok());
  EXPECT_FALSE(
      parse({{"rope_theta", 1e4}, {"rope_scaling", {{"type", "yarn"}, {"factor", 0}}}}).ok());
  EXPECT_FALSE(parse({{"rope_theta", 1e4}, {"rope_scaling", "yarn"}}).ok());
}

TEST(RotaryTest, PartialRotation) {
  const auto dim = [](const Json& json, int64_t head_dim) {
    return parse_rotary_dim({json, "config.json"}, head_dim, 1.0);
  };
  EXPECT_EQ(*dim(Json::object(), 128), 128);
  EXPECT_EQ(*dim({{"partial_rotary_factor", 0.5}}, 128), 64);
  EXPECT_EQ(
      *dim({{"partial_rotary_factor", 0.5}, {"rope_parameters", {{"partial_rotary_factor", 0.25}}}},
           128),
      32);
  EXPECT_EQ(text_of(dim({{"partial_rotary_factor", 0.25}}, 12)),
            "the dimensions that rotate must be even and at least 2 (key = "
            "partial_rotary_factor, value = 0.25, in = config.json, head_dim = 12, "
            "rotating dimensions = 3). Correct config.json, or pass "
            "--json-model-override-args '{\"partial_rotary_factor\": ...}'.");
  EXPECT_FALSE(dim({{"partial_rotary_factor", 0.0}}, 128).ok());
  EXPECT_FALSE(dim({{"partial_rotary_factor", 1.5}}, 128).ok());
}

}  // namespace
}  // namespace braid::model
