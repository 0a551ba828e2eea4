#include "experts/placement.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/temp_folder.h"

namespace braid::experts {
namespace {

constexpr PlacementSizes kSizes = {.layers = 2, .experts = 4, .ranks = 2, .slots = 6};

Json valid() {
  return {{"format", "braid.expert_placement.v1"},
          {"layers", 2},
          {"experts", 4},
          {"ranks", 2},
          {"slots", {{0, 1, 2, 3, 0, 1}, {3, 2, 1, 0, 2, 3}}}};
}

std::string refusal(const Json& json) {
  const auto placement = ExpertPlacement::parse(json);
  return placement.ok() ? "accepted" : placement.error().to_string();
}

std::string refused_sizes(int32_t experts, int32_t ranks, int32_t redundant) {
  const auto sizes = make_sizes(2, experts, ranks, redundant);
  return sizes.ok() ? "legal" : sizes.error().to_string();
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(PlacementTest, WithoutRedundantSlotsTheStandardIsTheIdentity) {
  const auto placement =
      ExpertPlacement::standard({.layers = 3, .experts = 8, .ranks = 4, .slots = 8});
  EXPECT_EQ(placement.most_replicas(), 1);
  const std::vector<int32_t> table = placement.table();
  ASSERT_EQ(table.size(), 24u);
  for (int32_t i = 0; i < 24; ++i) EXPECT_EQ(table[static_cast<size_t>(i)], i % 8);
  EXPECT_EQ(placement.slots_of(2, 3)[1], 7);
}

TEST(PlacementTest, TheStandardPutsReplicasOnOtherRanks) {
  for (const int32_t redundant : {2, 6, 10, 14, 18}) {
    const auto sizes = make_sizes(1, 10, 4, redundant).value();
    const auto placement = ExpertPlacement::standard(sizes);  // create() would abort otherwise
    EXPECT_EQ(placement.sizes().redundant(), redundant);
  }
}

TEST(PlacementTest, TheTableNamesEverySlotOnce) {
  const auto placement = ExpertPlacement::parse(valid()).value();
  EXPECT_EQ(placement.sizes(), kSizes);
  EXPECT_EQ(placement.most_replicas(), 2);
  const std::vector<int32_t> expected = {0, 4,  1, 5,  2, -1, 3, -1,  // layer 0
                                         3, -1, 2, -1, 1, 4,  0, 5};  // layer 1
  EXPECT_EQ(placement.table(), expected);
}

TEST(PlacementTest, ReadsWhatItWrites) {
  const TempFolder folder;
  const std::string path = folder.file("placement.json");
  const auto placement = ExpertPlacement::parse(valid()).value();
  ASSERT_TRUE(placement.save(path).ok());
  EXPECT_EQ(ExpertPlacement::load(path).value(), placement);
  folder.write("placement.json", "{\"format\": \"other\"}");
  const std::string refused = ExpertPlacement::load(path).error().to_string();
  expect_part(refused, "not a file of this kind");
  expect_part(refused, path);
  EXPECT_EQ(ExpertPlacement::load(folder.file("none")).error().kind(), ErrorKind::not_found);
  EXPECT_FALSE(placement.save("/nowhere/at/all.json").ok());
}

TEST(PlacementTest, RefusesWhatNoTableCanBeMadeOf) {
  EXPECT_EQ(refusal(valid()), "accepted");
  Json json = valid();
  json["slots"][1] = {3, 2, 1, 0, 2, 0};
  expect_part(refusal(json), "a rank holds an expert twice (layer = 1, expert = 0, rank = 1)");
  json["slots"][1] = {3, 2, 1, 3, 2, 1};
  expect_part(refusal(json), "an expert has no slot (layer = 1, expert = 0, slots = 6)");
  json["slots"][1] = {3, 2, 1, 0, 2};
  expect_part(refusal(json), "every layer has the same number of slots (layer = 1, slots = 5");
  for (const Json& wrong : {Json(4), Json(-1), Json("1"), Json(1.5), Json(18446744073709551615u)}) {
    json = valid();
    json["slots"][0][2] = wrong;
    expect_part(refusal(json), "a slot holds no expert of the layer (layer = 0, slot = 2");
  }
}

TEST(PlacementTest, RefusesSizesThatContradictThemselves) {
  Json json = valid();
  json["ranks"] = 4;
  expect_part(refusal(json), "all ranks have the same number of slots");
  json = valid();
  json["layers"] = 3;
  expect_part(refusal(json), "slots has a row for every layer (rows = 2, layers = 3)");
  json = valid();
  json["experts"] = 7;
  expect_part(refusal(json), "every expert has a slot");
  for (const char* key : {"layers", "experts", "ranks"}) {
    for (const Json& wrong : {Json(0), Json("2"), Json(1 << 20), Json()}) {
      json = valid();
      json[key] = wrong;
      expect_part(refusal(json), "a size is no whole number");
    }
  }
  json = valid();
  json["slots"] = 3;
  expect_part(refusal(json), "slots has a row for every layer");
  json["slots"] = {1, 2};
  expect_part(refusal(json), "every layer has the same number of slots");
  expect_part(refusal(Json::array()), "not a file of this kind");
}

TEST(PlacementTest, NamesTheNearestLegalNumberOfRedundantSlots) {
  EXPECT_EQ(refused_sizes(16, 4, 0), "legal");
  EXPECT_EQ(refused_sizes(16, 4, 8), "legal");
  EXPECT_EQ(refused_sizes(16, 1, 0), "legal");
  expect_part(refused_sizes(16, 4, 7), "nearest number is --redundant-experts 8.");
  expect_part(refused_sizes(16, 4, 5), "nearest number is --redundant-experts 4.");
  expect_part(refused_sizes(16, 4, 7), "rule = all ranks have the same number of slots");
  expect_part(refused_sizes(16, 2, 40), "nearest number is --redundant-experts 16.");
  expect_part(refused_sizes(16, 2, 40), "rule = a rank holds no expert twice");
  expect_part(refused_sizes(10, 4, 0), "nearest number is --redundant-experts 2.");
  expect_part(refused_sizes(16, 1, 2), "Use --ep 2 or more");
}

}  // namespace
}  // namespace braid::experts
