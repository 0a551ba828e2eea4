#include "model/generation_config.h"

#include "model/testing.h"

namespace braid::model {
namespace {

std::vector<Note> notes_of(const Json& json) {
  std::vector<Note> notes;
  const auto parsed = parse_generation(json, notes);
  EXPECT_TRUE(parsed.ok()) << testing::text_of(parsed);
  return notes;
}

TEST(GenerationConfigTest, NamesWhatIsNotApplied) {
  const Json json = {{"do_sample", true},      {"temperature", 0.7},
                     {"top_p", 0.8},           {"top_k", 20},
                     {"min_p", 0.1},           {"repetition_penalty", 1.05},
                     {"suppress_tokens", {5}}, {"no_repeat_ngram_size", 3},
                     {"bad_words_ids", {{7}}}};
  EXPECT_EQ(notes_of(json),
            (std::vector<Note>{{true,
                                "generation_config.json recommends what braid does not apply: "
                                "no_repeat_ngram_size = 3, "
                                "bad_words_ids = ..., suppress_tokens = ..."}}));
}

TEST(GenerationConfigTest, ReadsPenaltiesAndMinP) {
  std::vector<Note> notes;
  const GenerationConfig config = parse_generation({{"repetition_penalty", 1.05},
                                                    {"presence_penalty", 1.5},
                                                    {"frequency_penalty", -0.5},
                                                    {"min_p", 0.1}},
                                                   notes)
                                      .value();
  EXPECT_EQ(config.sampling.repetition_penalty, 1.05);
  EXPECT_EQ(config.sampling.presence_penalty, 1.5);
  EXPECT_EQ(config.sampling.frequency_penalty, -0.5);
  EXPECT_EQ(config.sampling.min_p, 0.1);
  EXPECT_TRUE(notes.empty());
  EXPECT_FALSE(parse_generation({{"min_p", 1.5}}, notes).ok());
  EXPECT_FALSE(parse_generation({{"repetition_penalty", 0}}, notes).ok());
  EXPECT_FALSE(parse_generation({{"presence_penalty", 3}}, notes).ok());
}

TEST(GenerationConfigTest, ValuesThatAskForNothingAreNotNamed) {
  EXPECT_TRUE(notes_of({{"repetition_penalty", 1.0},
                        {"min_p", 0},
                        {"num_beams", 1},
                        {"early_stopping", false},
                        {"suppress_tokens", Json::array()},
                        {"bad_words_ids", nullptr},
                        {"_from_model_config", true},
                        {"transformers_version", "5.0"}})
                  .empty());
  EXPECT_TRUE(notes_of({{"do_sample", false}, {"min_p", 0.1}}).empty());
}

TEST(GenerationConfigTest, UnknownKeysAreTold) {
  EXPECT_EQ(notes_of({{"temprature", 0.5}}),
            (std::vector<Note>{{true,
                                "generation_config.json has keys that braid does not use: "
                                "temprature (nearest known key: temperature)"}}));
}

}  // namespace
}  // namespace braid::model
